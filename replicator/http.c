/* SPDX-License-Identifier: PostgreSQL */
#include "replicator/http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/http.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "replicator/report.h"

enum { MAX_REQUEST_BYTES = 16 * 1024, REQUEST_TIMEOUT_S = 10 };

struct http {
    struct http_options o;
    struct evhttp *server;
};

static void reply(struct evhttp_request *request, int code, const char *type, const struct buffer *body)
{
    struct evbuffer *out = evbuffer_new();
    evbuffer_add(out, buffer_text(body), body->length);
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    evhttp_add_header(headers, "Content-Type", type);
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    evhttp_send_reply(request, code, code == 200 ? "OK" : "Service Unavailable", out);
    evbuffer_free(out);
}

static void on_health(struct evhttp_request *request, void *context)
{
    struct buffer body = {0};
    (void)context;
    buffer_puts(&body, "ok\n");
    reply(request, 200, "text/plain; charset=utf-8", &body);
    buffer_free(&body);
}

/* Ready: this process runs the pipeline, it streams, and the target answered when it was asked last. */
static void on_ready(struct evhttp_request *request, void *context)
{
    struct http *self = context;
    struct stats *stats = self->o.stats;
    struct buffer body = {0};
    bool ready = stats->role == STATS_ACTIVE && stats->phase == PHASE_STREAMING && stats->sink_ok;
    buffer_printf(&body, "%s: %s, %s%s\n", ready ? "ready" : "not ready",
                  stats_role_name((enum stats_role)stats->role),
                  stats_phase_name((enum stats_phase)stats->phase),
                  stats->sink_ok ? "" : ", the target does not answer");
    reply(request, ready ? 200 : 503, "text/plain; charset=utf-8", &body);
    buffer_free(&body);
}

static void on_status(struct evhttp_request *request, void *context)
{
    struct http *self = context;
    struct buffer body = {0};
    report_status(self->o.config, self->o.stats, &body);
    reply(request, 200, "application/json", &body);
    buffer_free(&body);
}

static void on_metrics(struct evhttp_request *request, void *context)
{
    struct http *self = context;
    struct buffer body = {0};
    report_metrics(self->o.config, self->o.stats, &body);
    reply(request, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
    buffer_free(&body);
}

/* "host:port" or "[v6]:port" into its parts; the host is the caller's to free. */
static char *split_listen(const char *listen, ev_uint16_t *port)
{
    const char *colon = strrchr(listen, ':');
    if (!colon)
        return NULL;
    *port = (ev_uint16_t)strtoul(colon + 1, NULL, 10);
    if (listen[0] == '[')
        return mem_strndup(listen + 1, (size_t)(colon - listen) - 2);
    return mem_strndup(listen, (size_t)(colon - listen));
}

bool http_start(const struct http_options *options, struct http **out, struct error *err)
{
    struct http *self = mem_alloc(sizeof(*self));
    ev_uint16_t port = 0;
    char *host = split_listen(options->config->http_listen, &port);
    self->o = *options;
    self->server = evhttp_new(options->base);
    *out = self;
    evhttp_set_allowed_methods(self->server, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
    evhttp_set_max_headers_size(self->server, MAX_REQUEST_BYTES);
    evhttp_set_max_body_size(self->server, 0);
    evhttp_set_timeout(self->server, REQUEST_TIMEOUT_S);
    evhttp_set_cb(self->server, "/healthz", on_health, self);
    evhttp_set_cb(self->server, "/readyz", on_ready, self);
    evhttp_set_cb(self->server, "/status", on_status, self);
    evhttp_set_cb(self->server, "/metrics", on_metrics, self);
    bool ok = host && evhttp_bind_socket(self->server, host, port) == 0;
    if (!ok)
        error_set(err, ERROR_CONFIG,
                  "can't listen for HTTP on %s: %s - another process has that port? - see http.listen",
                  options->config->http_listen, strerror(errno));
    free(host);
    if (!ok) {
        http_free(self);
        *out = NULL;
    }
    return ok;
}

void http_free(struct http *self)
{
    if (!self)
        return;
    evhttp_free(self->server);
    free(self);
}
