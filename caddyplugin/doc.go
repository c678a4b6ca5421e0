// SPDX-License-Identifier: Apache-2.0

/*
Package caddyplugin makes Caddy an authenticated client of the Pismo banking
platform. It obtains tokens, keeps them, renews them, and adds them to the
requests that reverse_proxy sends to Pismo.

	{
		pismo {
			client main {
				base_url      https://sandbox.pismolabs.io
				server_key    {file./run/secrets/pismo-key}
				server_secret {file./run/secrets/pismo-secret}
			}
		}
	}

	example.com {
		basic_auth {
			alice $2a$14$…
		}
		map {http.auth.user.id} {account} {
			alice 102681871
		}
		pismo_proxy https://sandbox.pismolabs.io {
			account {account}
		}
	}

# Which module to use

  - pismo_proxy is reverse_proxy for Pismo, with all its options. Use it unless
    you need pismo_auth or transport pismo alone.
  - pismo_auth finds the account of a request and obtains a token for it.
    Use it with a reverse_proxy of your own that has transport pismo.
  - transport pismo is the transport of a reverse_proxy: it sends requests with
    the token of the account that pismo_auth has found, or that the transport's
    own option account names.

# Caddyfile

The global option defines clients, which have the credentials and the tokens:

	pismo {
		client <name> {
			base_url           <url>
			hosts              <hosts...>
			server_key         {env.*}|{file.*}
			server_secret      {env.*}|{file.*}
			openid {
				issuer             <iss>
				subject            <sub>
				audience           <aud>
				tenant             <id>
				group              <group>
				key_file           <pem_files...>
				signer             <module> [<options...>]
				assertion_lifetime <duration>
				organization_uid   <uid>
				key_id             <kid>
				token_path         <path>
			}
			secret_field       <name>
			header             <field> <value>
			field              <name> <json>
			bare
			client_certificate <cert_file> <key_file>
			trusted_ca_certs   <pem_files...>
			<the options of transport http>
			issue_timeout      <duration>
			max_accounts       <count>
			max_issuances      <count>
			store              <module> [<options...>]
			store_key          {env.*}|{file.*}
			dangerously_allow_http
		}
	}

The directives. Leave the client out if there is only one:

	pismo_proxy [<matcher>] [<upstreams...>] {
		client          <name>
		account         <placeholder>|organization|<id>
		account_header  <field> <pattern>
		account_pattern <regexp>
		health_account  <id>|organization|off
		errors          handle
		<the options of reverse_proxy; its transport must be pismo>
	}

	pismo_auth [<matcher>] [<client>] {
		account         <placeholder>|organization|<id>
		account_header  <field> <pattern>
		account_pattern <regexp>
		errors          handle
		inject
	}

	transport pismo [<client>] {
		account         <placeholder>|organization|<id>
		account_pattern <regexp>
		health_account  <id>|organization|off
		max_replay_body <size>|off
		hosts           <hosts...>
		errors          handle
		<the options of transport http>
	}

pismo_auth runs after the directives that authenticate, basic_auth and
forward_auth; pismo_proxy stands where reverse_proxy does.

The log format redacts accounts. Use it for every log:

	format pismo {
		wrap         <format>
		keep_headers <fields...>
	}

Each option is described at the field of the module that it sets.

The directive metrics serves the metrics. Do not scrape /metrics of the admin
API: after a failed reload, it shows the configuration that failed, not the
running configuration.

# Reading order

A Caddyfile is read by caddyfile.go and by one file for each block:
caddyfile_client.go, caddyfile_auth.go, caddyfile_proxy.go and
caddyfile_transport.go. They fill in the fields of the modules: Client
(client.go), Auth (auth.go) and Transport (transport.go) of the app (app.go). A
request goes through auth.go and roundtrip.go; healthcheck.go has the health
checks. accountrule.go reads the account, upstream.go decides which upstream gets
a token, and proxycheck.go checks the reverse_proxy. sharedclient.go keeps the
tokens while configurations come and go. logencoder.go and redact.go have the
log format.

A new option of a client may also need resolve.go (placeholders) and
Client.digest (whether it changes the tokens).
*/
package caddyplugin
