/* SPDX-License-Identifier: PostgreSQL
 *
 * What spans several keys of a SQL Server as the legacy: where it is, how to log in, what protects the link.
 * A login without what it needs, or with what it would not use, is told rather than found out later.
 */
#include <config.h>
#include "model/config_internal.h"

#include <string.h>

#include "base/secret.h"

static const cJSON *section(const struct reader *self)
{
    return json_member(self->json.root, "legacy");
}

static void need(struct reader *self, const char *key, const char *hint)
{
    if (!json_member(section(self), key))
        config_problem(self, section(self), "required key \"%s\" is missing - %s", key, hint);
}

static void refuse(struct reader *self, const char *key, const char *reason)
{
    const cJSON *item = json_member(section(self), key);
    if (item)
        config_problem(self, item, "%s - remove it", reason);
}

static void check_address(struct reader *self)
{
    const struct config_sqlserver *s = &self->config->sqlserver;
    const cJSON *host = json_member(section(self), "host");
    if (!host && !json_member(section(self), "server"))
        need(self, "host", "SQL Server's host, or \"server\": a server of your freetds.conf");
    if (s->host && s->server)
        refuse(self, "server", "there is a host already");
    if (s->host && strchr(s->host, '\\'))
        config_problem(self, host,
                       "a named instance is reached by its port - write the host alone and the instance's "
                       "\"port\" (SQL Server Configuration Manager shows it)");
    else if (s->host && strpbrk(s->host, " ,;#"))
        config_problem(self, host, "not a host - allowed: a name or address, the port under \"port\"");
    need(self, "database", "SQL Server database");
}

static void check_login(struct reader *self)
{
    const struct config_sqlserver *s = &self->config->sqlserver;
    if (s->auth == SQLSERVER_AUTH_KERBEROS) {
        refuse(self, "user", "with auth kerberos the ticket says who we are");
        refuse(self, "password", "with auth kerberos the ticket says who we are");
        return;
    }
    refuse(self, "spn", "belongs to auth kerberos");
    need(self, "user", "SQL Server login");
    need(self, "password", "write \"env:NAME\", \"file:PATH\" or \"credential:NAME\"");
    if (s->user && s->auth == SQLSERVER_AUTH_NTLM && !strchr(s->user, '\\'))
        config_problem(self, json_member(section(self), "user"),
                       "not a Windows user - allowed with auth ntlm: \"DOMAIN\\\\user\"");
    else if (s->user && s->auth == SQLSERVER_AUTH_SQL && strchr(s->user, '\\'))
        config_problem(self, json_member(section(self), "user"),
                       "a Windows user - write \"auth\": \"ntlm\" or \"kerberos\"");
}

static void check_encryption(struct reader *self)
{
    const struct config_sqlserver *s = &self->config->sqlserver;
    static const char *const verifying[] = {"ca", "hostname"};
    if (s->encrypt == SQLSERVER_OFF)
        refuse(self, "trust_server_certificate", "without encryption there is no certificate");
    for (size_t i = 0; i < sizeof(verifying) / sizeof(verifying[0]); i++) {
        if (s->encrypt == SQLSERVER_OFF)
            refuse(self, verifying[i], "without encryption there is no certificate");
        else if (s->trust_server_certificate)
            refuse(self, verifying[i], "with trust_server_certificate the certificate is not looked at");
    }
    if (s->ca && s->ca[0] != '/')
        config_problem(self, json_member(section(self), "ca"),
                       "not a path from the root - allowed: \"/path/ca.pem\"");
}

static void read_password(struct reader *self)
{
    const cJSON *reference = json_member(section(self), "password");
    struct error err;
    secret_free(self->config->sqlserver.password);
    self->config->sqlserver.password = NULL;
    if (cJSON_IsString(reference) &&
        !secret_resolve(reference->valuestring, &self->config->sqlserver.password, &err))
        config_problem(self, reference, "%s", err.text);
}

void config_check_sqlserver(struct reader *self)
{
#ifndef HAVE_FREETDS
    config_problem(self, json_member(section(self), "kind"),
                   "this build has no SQL Server - install freetds-dev and build again (configure says "
                   "\"FreeTDS yes\") - allowed: postgresql");
#endif
    if (!cJSON_IsObject(section(self)))
        return;
    check_address(self);
    check_login(self);
    check_encryption(self);
    read_password(self);
}
