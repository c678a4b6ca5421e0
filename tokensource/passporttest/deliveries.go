// SPDX-License-Identifier: Apache-2.0

package passporttest

import "slices"

// A Delivery is a request, of any method but GET and HEAD, whose whole body has
// arrived at the resource API.
type Delivery struct {
	Method, Path string
	// Account is the account of the request's token; "" is the organization,
	// or means that this Server has not issued the token.
	Account string
	// Length and SHA256 (in hexadecimal) are those of the body.
	Length int64
	SHA256 string
	// Status is the status of the answer: 200 or 201 if the request was carried
	// out, any other if it was refused.
	Status int
}

// minDeliveries is the number of deliveries that the Server keeps at least.
const minDeliveries = 10_000

// addDelivery records a delivery.
func (r *recorder) addDelivery(d Delivery) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.deliveries) == 2*minDeliveries {
		r.deliveries = slices.Delete(r.deliveries, 0, minDeliveries)
	}
	r.deliveries = append(r.deliveries, d)
}

// Deliveries returns the deliveries so far, in the order of their arrival: at
// least the last 10,000. A test uses it to prove that a payment was sent once.
//
// A refused request is a delivery too, since the Server reads the body before
// it sends the refusal. Uploads are the exception, because they may have no
// end: the Server refuses an upload before it reads the body, as a gateway
// does, and records no delivery. A Config.Resource reads its bodies itself; the
// Server records none of them.
func (s *Server) Deliveries() []Delivery {
	s.requests.mu.Lock()
	defer s.requests.mu.Unlock()
	return slices.Clone(s.requests.deliveries)
}
