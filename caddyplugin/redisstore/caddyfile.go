// SPDX-License-Identifier: Apache-2.0

package redisstore

import (
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile sets up the store from Caddyfile tokens. Syntax:
//
//	store redis {
//	    address            <host:port...>
//	    sentinel_master    <name>
//	    user_file          <file>
//	    password_file      <file>
//	    database           <number>
//	    prefix             <text>
//	    tls
//	    tls_server_name    <name>
//	    trusted_ca_certs   <pem_files...>
//	    client_certificate <cert_file> <key_file>
//	}
func (s *Store) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // The name of the module.
	if d.NextArg() {
		return d.Errf("store redis has no argument; write address %s in its block", "<host:port>")
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := s.unmarshalOption(d); err != nil {
			return err
		}
	}
	if len(s.Address) == 0 {
		return d.Err("store redis needs address")
	}
	if s.UserFile != "" && s.PasswordFile == "" {
		return d.Err("store redis has user_file: add password_file")
	}
	return nil
}

// unmarshalOption parses an option of the store.
func (s *Store) unmarshalOption(d *caddyfile.Dispenser) error {
	switch option := d.Val(); option {
	case "address":
		return s.unmarshalAddress(d)
	case "database":
		return s.unmarshalDatabase(d)
	case "tls":
		s.encrypted()
		if d.NextArg() {
			return d.ArgErr()
		}
		return nil
	case "tls_server_name":
		return setOnce(d, &s.encrypted().ServerName)
	case "trusted_ca_certs":
		return setList(d, &s.encrypted().TrustedCACerts)
	case "client_certificate":
		return s.encrypted().unmarshalCertificate(d)
	default:
		text, ok := map[string]*string{
			"sentinel_master": &s.SentinelMaster,
			"user_file":       &s.UserFile,
			"password_file":   &s.PasswordFile,
			"prefix":          &s.Prefix,
		}[option]
		if !ok {
			return d.Errf("unrecognized option %s of store redis", option)
		}
		return setOnce(d, text)
	}
}

// encrypted returns the options for TLS, and turns TLS on.
func (s *Store) encrypted() *TLS {
	if s.TLS == nil {
		s.TLS = new(TLS)
	}
	return s.TLS
}

func (t *TLS) unmarshalCertificate(d *caddyfile.Dispenser) error {
	if t.CertificateFile != "" {
		return d.Err("client_certificate is set twice")
	}
	if !d.AllArgs(&t.CertificateFile, &t.KeyFile) {
		return d.ArgErr()
	}
	return nil
}

func (s *Store) unmarshalAddress(d *caddyfile.Dispenser) error {
	if err := setList(d, &s.Address); err != nil {
		return err
	}
	for _, address := range s.Address {
		if !strings.Contains(address, "{") && !isAddress(address) {
			return d.WrapErr(errAddress)
		}
	}
	return nil
}

func (s *Store) unmarshalDatabase(d *caddyfile.Dispenser) error {
	var value string
	if !d.AllArgs(&value) {
		return d.ArgErr()
	}
	number, err := strconv.Atoi(value)
	if err != nil || number < 0 {
		return d.Err("database is not a whole number from 0 on")
	}
	s.Database = number
	return nil
}

// setOnce sets an option to its one argument. A repeated option is an error.
func setOnce(d *caddyfile.Dispenser, option *string) error {
	name := d.Val()
	if *option != "" {
		return d.Errf("%s is set twice", name)
	}
	if !d.AllArgs(option) {
		return d.ArgErr()
	}
	if *option == "" {
		return d.Errf("%s is empty", name)
	}
	return nil
}

// setList sets an option to its arguments. A repeated option is an error.
func setList(d *caddyfile.Dispenser, option *[]string) error {
	name := d.Val()
	if *option != nil {
		return d.Errf("%s is set twice", name)
	}
	if *option = d.RemainingArgs(); len(*option) == 0 {
		return d.ArgErr()
	}
	return nil
}

// Interface guard.
var _ caddyfile.Unmarshaler = (*Store)(nil)
