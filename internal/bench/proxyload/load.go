// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A loadTarget is the address of a proxy, and the number of connections to it.
type loadTarget struct {
	Address     string
	Connections int
}

// A loadRequest says how many requests to send.
type loadRequest struct{ Requests int }

// An outcome is the result of a loadRequest. All its requests have succeeded.
type outcome struct {
	Took  time.Duration
	Times []time.Duration // of the requests, in no order
}

// runLoadGenerator runs the load generator.
func runLoadGenerator(l messages) error {
	var t loadTarget
	if err := l.Decode(&t); err != nil {
		return err
	}
	clients, err := t.connect()
	if err != nil {
		return err
	}
	if err := l.Encode(len(clients)); err != nil {
		return err
	}
	for {
		var o loadRequest
		if err := l.Decode(&o); err != nil {
			return err
		}
		result, err := o.send(clients)
		if err != nil {
			return err
		}
		if err := l.Encode(result); err != nil {
			return err
		}
	}
}

// A client is a persistent connection. It does less than a client of net/http,
// so that the proxy gets most of the processors.
type client struct {
	net.Conn
	reader  *bufio.Reader
	request string
}

func (t loadTarget) connect() ([]*client, error) {
	request, err := t.request()
	if err != nil {
		return nil, err
	}
	clients := make([]*client, t.Connections)
	for i := range clients {
		conn, err := new(net.Dialer).DialContext(context.Background(), "tcp", t.Address)
		if err != nil {
			return nil, err
		}
		if err := conn.SetDeadline(time.Now().Add(roundTimeout)); err != nil {
			return nil, err
		}
		clients[i] = &client{conn, bufio.NewReader(conn), request}
	}
	return clients, nil
}

// request returns the bytes of a request with eight fields, as an app sends it
// through a gateway. They are the same for every variant, also for those that
// ignore the JWT.
func (t loadTarget) request() (string, error) {
	token, err := inboundJWT()
	return "GET /v1/accounts/" + account + " HTTP/1.1\r\n" +
		"Host: " + t.Address + "\r\n" +
		"Accept: application/json\r\n" +
		"Accept-Encoding: gzip\r\n" +
		"Accept-Language: pt-BR\r\n" +
		"Authorization: Bearer " + token + "\r\n" +
		"Traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n" +
		"User-Agent: app/4.2\r\n" +
		"X-Cid: 3f0b6a52-6d0e-4a3b-8a0e-3d6f1b1f5b0e\r\n" +
		"X-Request-Id: 9a0364b9e99bb480dd25e1f0284c8555\r\n\r\n", err
}

// send sends the requests, each on the next free connection.
func (o loadRequest) send(clients []*client) (outcome, error) {
	var (
		left  atomic.Int64
		all   sync.WaitGroup
		mu    sync.Mutex
		times = make([]time.Duration, 0, o.Requests)
		fails []error
	)
	left.Store(int64(o.Requests))
	begin := time.Now()
	for _, c := range clients {
		all.Go(func() {
			took, err := c.makeRequests(&left)
			mu.Lock()
			defer mu.Unlock()
			times = append(times, took...)
			if err != nil {
				fails = append(fails, err)
			}
		})
	}
	all.Wait()
	result := outcome{Took: time.Since(begin), Times: times}
	if len(fails) > 0 {
		return result, fmt.Errorf("%d of %d connections failed, one with: %w", len(fails), len(clients), fails[0])
	}
	if len(times) != o.Requests {
		return result, errors.New("some requests were not sent")
	}
	return result, nil
}

// makeRequests sends consecutive requests while there are any left. It returns
// how long each of them took.
func (c *client) makeRequests(left *atomic.Int64) ([]time.Duration, error) {
	var times []time.Duration
	for left.Add(-1) >= 0 {
		begin := time.Now()
		if err := c.makeRequest(); err != nil {
			return times, err
		}
		times = append(times, time.Since(begin))
	}
	return times, nil
}

// answer is the answer of the fake server.
const answer = `{"account_id":` + account + `,"status":"NORMAL"}`

func (c *client) makeRequest() error {
	if _, err := io.WriteString(c, c.request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || string(body) != answer {
		return fmt.Errorf("status %d and body %q, want %d and %q", resp.StatusCode, body, http.StatusOK, answer)
	}
	return nil
}
