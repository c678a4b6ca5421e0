// SPDX-License-Identifier: Apache-2.0

package fleet

// An Operation is a use of the [Store].
type Operation string

// The operations.
const (
	// OpKey: the Issuer read its key. Only failures are reported.
	OpKey Operation = "key"
	// OpClaim is a call of Store.Claim.
	OpClaim Operation = "claim"
	// OpPublish is a call of Store.Publish.
	OpPublish Operation = "publish"
	// OpTake is a call of Store.Take.
	OpTake Operation = "take"
)

// Hooks observe an [Issuer]. Any hook may be nil. Hooks run synchronously, must
// return at once, and must be safe for concurrent use. No hook gets a name, a
// value or an account.
type Hooks struct {
	// Operation is called after each operation. If the Store was not asked
	// because it failed several times in a row, err is not nil.
	Operation func(op Operation, err error)
	// Poisoned is called when a value of the Store is not one that a process
	// with the same key sealed under the same name. The value is not used.
	Poisoned func()
}

func (i *Issuer) observe(op Operation, err error) {
	if i.config.Hooks.Operation != nil {
		i.config.Hooks.Operation(op, err)
	}
}

func (i *Issuer) poisoned() {
	if i.config.Hooks.Poisoned != nil {
		i.config.Hooks.Poisoned()
	}
}
