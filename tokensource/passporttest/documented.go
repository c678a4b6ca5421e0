// SPDX-License-Identifier: Apache-2.0

package passporttest

import "net/http"

// Refusals returns the refusals that Pismo documents for its resource
// endpoints. The 401 without a body, which most operations document, comes
// first. Then come every documented body of a 401, and some of the many bodies
// of a 403. Source: Pismo's OpenAPI files, August 2026.
//
// The RefusalKind of a 401 says whether the 401 is about the token or about the
// request; both are common. A 403 is never about expiry. "Missing required
// header" means that the token has no account, since the gateway takes those
// headers from the token.
func Refusals() []Refusal {
	return []Refusal{
		unauthorized("empty", "", "", KindToken),
		unauthorized("message", "", `{"message": "You cannot access this resource"}`, KindToken),
		unauthorized("ERR9786", "ERR9786", `{"error_code": "ERR9786", "message": "Access token is missing or invalid"}`, KindToken),
		unauthorized("EDPT0005", "EDPT0005", `{"code": "EDPT0005", "message": "Missing or invalid Authorization header", "http_status_code": 401}`, KindToken),
		unauthorized("EBLT0005", "EBLT0005", `{"code": "EBLT0005", "message": "Missing or invalid Authorization header", "http_status_code": 401}`, KindToken),
		unauthorized("EBLT0007", "EBLT0007", `{"code": "EBLT0007", "message": "Invalid Authorization header, missing tenant", "http_status_code": 401}`, KindToken),
		unauthorized("WONP0005", "WONP0005", `{"code": "WONP0005", "message": "Authentication is required but no authentication method was provided."}`, KindToken),
		unauthorized("WONT0005", "WONT0005", `{"code": "WONT0005", "message": "Authentication is required but no authentication method was provided."}`, KindToken),
		unauthorized("ESMG0401", "ESMG0401", `{"code": "ESMG0401", "message": "Unauthorized", "details": {"payload": [{"field": "Authorization", "message": "Invalid or missing authorization token"}]}}`, KindToken),
		unauthorized("WCAC0001", "WCAC0001", `{"code": "WCAC0001", "message": "Account not authorized"}`, KindWrongAccount),
		unauthorized("WEAM0009", "WEAM0009", `{"code": "WEAM0009", "message": "Account not authorized"}`, KindWrongAccount),
		unauthorized("WRFO0010", "WRFO0010", `{"code": "WRFO0010", "message": "Account not authorized"}`, KindWrongAccount),
		unauthorized("WABL0002", "WABL0002", `{"code": "WABL0002", "message": "Account not authorized"}`, KindWrongAccount),
		unauthorized("WHIS0001", "WHIS0001", `{"code": "WHIS0001", "message": "Account not authorized"}`, KindWrongAccount),
		unauthorized("WEAM0020", "WEAM0020", `{"code": "WEAM0020", "message": "Use of a valid token for a valid account is required"}`, KindWrongAccount),
		unauthorized("EBLT0006", "EBLT0006", `{"code": "EBLT0006", "message": "Invalid Authorization header, missing account-id", "http_status_code": 401}`, KindWrongAccount),
		unauthorized("WEAM0023", "WEAM0023", `{"code": "WEAM0023", "message": "The account cannot be debited. Debit function is not active"}`, KindBusiness),
		unauthorized("WEAM0024", "WEAM0024", `{"code": "WEAM0024", "message": "The account cannot be credited. Credit function is not active"}`, KindBusiness),
		unauthorized("BW0031", "BW0031", `{"code": "BW0031", "message": "Config creation by account unauthorized."}`, KindBusiness),
		unauthorized("EUPI0120", "EUPI0120", `{"code": "EUPI0120", "message": "Transfer amount is greater than the account available limits"}`, KindBusiness),
		unauthorized("EPT0001", "EPT0001", `{"code": "EPT0001", "message": "User not found"}`, KindBusiness),
		unauthorized("RCAPI-DOMAIN-VIOLATION", "RCAPI-DOMAIN-VIOLATION", `{"error_code": "RCAPI-DOMAIN-VIOLATION", "message": "Internal server error"}`, KindBusiness),
		unauthorized("EPDG0013", "EPDG0013", `{"code": "EPDG0013", "message": "Unauthorized access to the provider service"}`, KindProvider),
		forbidden("forbidden", "", "", KindWrongAccount),
		forbidden("denied", "", `{"message": "access denied"}`, KindWrongAccount),
		forbidden("EPDA0009", "EPDA0009", `{"code": "EPDA0009", "message": "Missing required header 'x-tenant'"}`, KindWrongAccount),
		forbidden("EPDA0010", "EPDA0010", `{"code": "EPDA0010", "message": "Missing required header 'x-account-id'"}`, KindWrongAccount),
		forbidden("EUPI0004", "EUPI0004", `{"code": "EUPI0004", "message": "Missing required header 'x-tenant'"}`, KindWrongAccount),
		forbidden("EIBA0007", "EIBA0007", `{"code": "EIBA0007", "message": "Invalid account ID header: 'x-account-id'"}`, KindWrongAccount),
		forbidden("EBACS0085", "EBACS0085", `{"code": "EBACS0085", "message": "Missing required account-id"}`, KindWrongAccount),
		forbidden("ELND0002", "ELND0002", `{"code": "ELND0002", "message": "Unauthorized access. Invalid credentials."}`, KindWrongAccount),
		forbidden("EBACS0021", "EBACS0021", `{"code": "EBACS0021", "message": "Account blocked or cancelled"}`, KindBusiness),
		forbidden("EPIX0112", "EPIX0112", `{"code": "EPIX0112", "message": "Rejected by Anti fraud API"}`, KindBusiness),
		forbidden("ERUL0002", "ERUL0002", `{"message": "operation not allowed", "error_code": "RULVAL0403", "code": "ERUL0002"}`, KindBusiness),
	}
}

func unauthorized(name, code, body string, kind RefusalKind) Refusal {
	return documented(name, code, http.StatusUnauthorized, body, kind)
}

func forbidden(name, code, body string, kind RefusalKind) Refusal {
	return documented(name, code, http.StatusForbidden, body, kind)
}

func documented(name, code string, status int, body string, kind RefusalKind) Refusal {
	contentType := "application/json"
	if body == "" {
		contentType = ""
	}
	return Refusal{Name: name, Code: code, Status: status, ContentType: contentType, Body: body, Kind: kind}
}

// A DocumentedCase is a 401 that Pismo documents for operations with one
// method.
type DocumentedCase struct {
	Refusal Refusal
	Method  string
	// Path is the path of one such operation, with values for its parameters.
	Path string
	// Operations is the number of operations with this method that document
	// the 401.
	Operations int
}

// DocumentedCases returns a DocumentedCase for each pair of a documented 401
// and a method. A test can answer one operation of each pair with its refusal:
//
//	for _, c := range passporttest.DocumentedCases() {
//		pismo.Refuse(c.Refusal.OnPath(c.Method + " " + c.Path))
//		…
//	}
//
// Source: Pismo's OpenAPI files, August 2026.
func DocumentedCases() []DocumentedCase {
	refusals := map[string]Refusal{}
	for _, r := range Refusals() {
		refusals[r.Name] = r
	}
	on := func(name, method, path string, operations int) DocumentedCase {
		return DocumentedCase{refusals[name], method, path, operations}
	}
	return []DocumentedCase{
		on("empty", http.MethodGet, "/v1/issuer/1/assets/1/redemption", 98),
		on("empty", http.MethodPost, "/v1/issuer/1/assets", 74),
		on("empty", http.MethodPut, "/v2/issuer/1/assets/1/redemption", 42),
		on("empty", http.MethodPatch, "/v1/issuer/1/assets/1/quotas/1", 22),
		on("empty", http.MethodDelete, "/v1/issuer/1/assets/1", 20),
		on("message", http.MethodGet, "/v1/interest/plan/1", 4),
		on("message", http.MethodPost, "/v1/interest/plan", 6),
		on("message", http.MethodPut, "/v1/interest/account/1", 1),
		on("message", http.MethodPatch, "/accounts/v1/accounts/1", 1),
		on("ERR9786", http.MethodGet, "/v1/cards/1/network-tokens/profile", 6),
		on("ERR9786", http.MethodPost, "/v1/cards/1/network-tokens/profile", 10),
		on("ERR9786", http.MethodPut, "/v1/cards/1/network-tokens/profile", 4),
		on("ERR9786", http.MethodDelete, "/flex_credentials/v1/vfc/enrollment/cards/1", 4),
		on("EDPT0005", http.MethodGet, "/v2/fraud-report/1", 3),
		on("EDPT0005", http.MethodPost, "/v2/fraud-report", 2),
		on("EDPT0005", http.MethodPut, "/v2/fraud-report/1", 1),
		on("EBLT0005", http.MethodGet, "/v1/bulletin", 3),
		on("EBLT0005", http.MethodPost, "/v1/bulletin", 2),
		on("EBLT0005", http.MethodDelete, "/v1/bulletin/1", 1),
		on("EBLT0007", http.MethodGet, "/v1/bulletin", 3),
		on("EBLT0007", http.MethodPost, "/v1/bulletin", 2),
		on("EBLT0007", http.MethodDelete, "/v1/bulletin/1", 1),
		on("WONP0005", http.MethodPost, "/payment-methods/v2/payments", 1),
		on("WONT0005", http.MethodPost, "/payment-methods/v2/transfers", 1),
		on("ESMG0401", http.MethodGet, "/v3/marketplaces", 1),
		on("WCAC0001", http.MethodGet, "/corporate/v1/corporate-transactions", 3),
		on("WCAC0001", http.MethodPost, "/corporate/v2/payments", 10),
		on("WCAC0001", http.MethodDelete, "/corporate/v2/scheduled-payments/1", 1),
		on("WEAM0009", http.MethodPost, "/corporate/v2/earmarks", 2),
		on("WRFO0010", http.MethodPost, "/corporate/v1/restricted-funds", 1),
		on("WRFO0010", http.MethodPatch, "/corporate/v2/restricted-funds/1", 1),
		on("WABL0002", http.MethodGet, "/bank-statements/v1/account-balances/1", 1),
		on("WHIS0001", http.MethodGet, "/bank-statements/v1/account-balances/1/history", 1),
		on("WEAM0020", http.MethodPost, "/corporate/v2/earmarks", 2),
		on("EBLT0006", http.MethodGet, "/v1/bulletin", 3),
		on("EBLT0006", http.MethodPost, "/v1/bulletin", 2),
		on("EBLT0006", http.MethodDelete, "/v1/bulletin/1", 1),
		on("WEAM0023", http.MethodPost, "/corporate/v2/earmarks", 2),
		on("WEAM0023", http.MethodPatch, "/corporate/v2/earmarks/1", 2),
		on("WEAM0024", http.MethodPost, "/corporate/v2/earmarks", 4),
		on("WEAM0024", http.MethodPatch, "/corporate/v2/earmarks/1", 2),
		on("BW0031", http.MethodGet, "/v1/config", 6),
		on("BW0031", http.MethodPost, "/v1/config", 6),
		on("BW0031", http.MethodPut, "/v1/config", 6),
		on("EUPI0120", http.MethodPost, "/v1/cards/transfer", 2),
		on("EPT0001", http.MethodGet, "/v1/pix/qrcode/jws/1", 7),
		on("EPT0001", http.MethodPost, "/v1/pix/qrcode/cob", 17),
		on("EPT0001", http.MethodPatch, "/v1/pix/qrcode/cob", 6),
		on("RCAPI-DOMAIN-VIOLATION", http.MethodGet, "/v1/exchange-rates", 12),
		on("RCAPI-DOMAIN-VIOLATION", http.MethodPost, "/v1/exchange-rates", 3),
		on("RCAPI-DOMAIN-VIOLATION", http.MethodPut, "/v1/fee/models/1", 8),
		on("RCAPI-DOMAIN-VIOLATION", http.MethodDelete, "/v1/fee/models/attachment/account/1", 4),
		on("EPDG0013", http.MethodGet, "/v2/pix/infraction-reports", 5),
		on("EPDG0013", http.MethodPost, "/v2/pix/keys", 12),
		on("EPDG0013", http.MethodPatch, "/v2/pix/keys", 2),
	}
}
