/* SPDX-License-Identifier: PostgreSQL */
#include "control/http_get.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/mem.h"

enum { BODY_MAX = 64 << 20 };

static int connect_one(const struct addrinfo *a)
{
    struct timeval second = {.tv_sec = 1};
    int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0)
        return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &second, sizeof(second));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &second, sizeof(second));
    if (connect(fd, a->ai_addr, a->ai_addrlen) == 0)
        return fd;
    close(fd);
    return -1;
}

static int connect_address(const char *address)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list = NULL;
    char *host = mem_strdup(address);
    char *port = strrchr(host, ':');
    int fd = -1;
    if (port) {
        *port++ = '\0';
        char *name = host;
        size_t length = strlen(name);
        if (length > 1 && name[0] == '[' && name[length - 1] == ']') {
            name[length - 1] = '\0';
            name++;
        }
        if (getaddrinfo(name, port, &hints, &list) != 0)
            list = NULL;
    }
    for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
        fd = connect_one(a);
    if (list)
        freeaddrinfo(list);
    free(host);
    return fd;
}

static bool send_all(int fd, const struct buffer *text)
{
    for (size_t at = 0; at < text->length;) {
        ssize_t n = send(fd, text->data + at, text->length - at, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

static bool receive_all(int fd, struct buffer *out)
{
    char piece[16384];
    for (;;) {
        ssize_t n = recv(fd, piece, sizeof(piece), 0);
        if (n == 0)
            return true;
        if (n < 0 || out->length > BODY_MAX)
            return false;
        buffer_put(out, piece, (size_t)n);
    }
}

bool http_get(const char *address, const char *path, struct buffer *body)
{
    struct buffer request = {0}, answer = {0};
    int fd = connect_address(address);
    if (fd < 0)
        return false;
    /* 1.0: the answer ends with the connection and is never chunked. */
    buffer_printf(&request, "GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n", path, address);
    bool ok = send_all(fd, &request) && receive_all(fd, &answer);
    const char *text = buffer_text(&answer);
    const char *start = strstr(text, "\r\n\r\n");
    ok = ok && start && strncmp(text, "HTTP/1.", 7) == 0 && strncmp(text + 8, " 200", 4) == 0;
    if (ok)
        buffer_puts(body, start + 4);
    buffer_free(&request);
    buffer_free(&answer);
    close(fd);
    return ok;
}
