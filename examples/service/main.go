// SPDX-License-Identifier: Apache-2.0

// Service is a server between an app and Pismo, to be copied. It verifies the
// app's JWT, finds the account in it, and forwards the request with the token
// of that account.
//
// Its configuration comes from the environment: see [config]. Secrets come from
// files. A second address serves /healthz, /readyz and /metrics for probes and
// metrics. Traces go to the target that the standard variables of OpenTelemetry
// name, such as OTEL_EXPORTER_OTLP_ENDPOINT. Without these variables there are
// no traces.
package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	log := slog.New(slog.NewJSONHandler(os.Stdout, nil))
	err := run(ctx, os.Getenv, log)
	stop()
	if err != nil {
		log.Error("the service ends", "error", err.Error())
		os.Exit(1)
	}
}

// run serves until ctx is done. Then it lets the running requests end.
func run(ctx context.Context, getenv func(string) string, log *slog.Logger) error {
	c, err := newConfig(getenv)
	if err != nil {
		return err
	}
	s, err := newService(ctx, c, log)
	if err != nil {
		return err
	}
	defer s.close()

	public, err := listen(ctx, c.listen)
	if err != nil {
		return fmt.Errorf("LISTEN: %w", err)
	}
	admin, err := listen(ctx, c.adminListen)
	if err != nil {
		return fmt.Errorf("ADMIN_LISTEN: %w", errors.Join(err, public.Close()))
	}
	log.Info("the service listens", "address", public.Addr().String(), "admin_address", admin.Addr().String())
	return serve(ctx, c.drain, log, map[net.Listener]http.Handler{public: s.public, admin: s.admin})
}

func listen(ctx context.Context, address string) (net.Listener, error) {
	return new(net.ListenConfig).Listen(ctx, "tcp", address)
}

// serve serves each handler until ctx is done or a server fails. Then it waits
// at most drain for running requests.
func serve(ctx context.Context, drain time.Duration, log *slog.Logger, handlers map[net.Listener]http.Handler) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var servers []*http.Server
	for listener, handler := range handlers {
		server := &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: 10 * time.Second, // A client that sends its header slowly holds a connection.
			IdleTimeout:       2 * time.Minute,
			MaxHeaderBytes:    64 << 10,
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		}
		servers = append(servers, server)
		go func() {
			if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
				cancel(err)
			}
		}()
	}
	<-ctx.Done()
	log.Info("the service drains", "at_most", drain.String())
	deadline, stop := context.WithTimeout(context.WithoutCancel(ctx), drain)
	defer stop()
	var errs []error
	for _, server := range servers {
		errs = append(errs, server.Shutdown(deadline))
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		errs = append(errs, cause)
	}
	return errors.Join(errs...)
}
