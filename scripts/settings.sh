# shellcheck shell=bash
# What an operator may set otherwise than the package does, each as docs/operations.md says: for scripts/check-install, which
# has what the functions here use.

# drop_in NAME: with what comes from standard input, as `systemctl edit` makes it.
drop_in() {
    machine install -D -m 0644 /dev/stdin "$DROP_INS/$1.conf"
    machine systemctl daemon-reload
}

# Starts of all these settings together are more than systemd lets through in five minutes.
start_again() {
    machine systemctl reset-failed "$UNIT"
    machine systemctl restart "$UNIT"
}

# Leads in PostgreSQL, whose address comes as a credential: another service, with a lead of its own. And a boot, at which the
# service must find its database there.
postgresql() {
    local sqlite_lead="$lead" password
    password="$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
    machine systemctl enable --now --quiet postgresql
    machine runuser -u postgres -- psql --quiet <<SQL
CREATE ROLE lead_intake LOGIN PASSWORD '$password';
CREATE DATABASE lead_intake OWNER lead_intake;
SQL
    machine systemctl stop "$UNIT"
    machine mv "$STATE" "$STATE-sqlite"
    machine install -m 0600 /dev/stdin /etc/lead-intake/database-url <<<"postgres://lead_intake:$password@localhost/lead_intake"
    drop_in postgresql <"${dir:?}/root/usr/share/doc/lead-intake/examples/postgresql.conf"
    start_again
    submits
    modes
    stop_machine
    start_machine "${dir:?}/root" "${dir:?}/console"
    serves 'after a boot'
    # Before its database was: else it would have waited for it, and warned.
    machine journalctl --boot=-1 --unit "$UNIT" --no-pager --output cat >"${dir:?}/end"
    grep -q 'Deactivated successfully' "$dir/end" || die 'the end of the machine was not a clean stop'
    ! grep -E '"level":"(WARN|ERROR)"' "$dir/end" || die 'the service was not at rest when the machine ended'
    documented "runuser -u lead-intake -- env LEAD_INTAKE_DATABASE_URL_FILE=/run/credentials/$UNIT/database-url lead-intake client list"
    machine journalctl --no-pager --all | { ! grep -aF "$password"; } || die 'the journal has the password of the database'
    machine systemctl disable --now --quiet "$UNIT"
    machine systemctl disable --now --quiet postgresql
    machine rm -r "$STATE" "$DROP_INS/postgresql.conf" /etc/lead-intake/database-url
    machine mv "$STATE-sqlite" "$STATE"
    machine systemctl daemon-reload
    lead="$sqlite_lead"
    documented 'systemctl enable --now lead-intake'
    serves 'back on SQLite'
    echo 'PostgreSQL, boot: ok'
}

# Leads over TLS, with a key that root owns and the service may read; and a reload that takes the next certificate.
certificate() {
    local before
    machine sed -i 's/^#certificate = /certificate = /; s/^#key = /key = /' "$CONFIG"
    machine openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj '/CN=An authority' -keyout ca.key \
        -out /etc/lead-intake/ca.pem
    make_certificate 10
    start_again
    await 'ready with TLS' ready
    on_service get "$lead" --url https://localhost:50051 --ca /etc/lead-intake/ca.pem >"${dir:?}/shown"
    before="$(certificate_expiry)"
    make_certificate 20
    machine systemctl reload "$UNIT"
    await 'the next certificate' certificate_is_not "${before:?no certificate is in force}"
    machine sed -i 's/^certificate = /#certificate = /; s/^key = /#key = /' "$CONFIG"
    machine rm /etc/lead-intake/tls.key /etc/lead-intake/tls.pem /etc/lead-intake/ca.pem ca.key
    start_again
    serves 'without TLS again'
    echo 'TLS: ok'
}

# make_certificate DAYS
make_certificate() {
    machine openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost -keyout tls.key -out tls.csr
    machine openssl x509 -req -in tls.csr -copy_extensions copy -CA /etc/lead-intake/ca.pem -CAkey ca.key -CAcreateserial \
        -CAserial ca.srl -days "$1" -out tls.pem
    documented 'install -m 0640 -g lead-intake tls.key /etc/lead-intake/tls.key'
    machine install -m 0644 tls.pem /etc/lead-intake/tls.pem
    machine rm tls.key tls.pem tls.csr ca.srl
}
certificate_expiry() { admin /metrics | sed -n 's/^lead_intake_tls_certificate_expiry_timestamp_seconds //p'; }
certificate_is_not() { [ "$(certificate_expiry)" != "$1" ]; }

# The mirror on another disk, or what passes for one.
mirror_elsewhere() {
    documented 'install -d -m 0700 -o lead-intake -g lead-intake /srv/lead-intake-mirror'
    machine systemctl stop "$UNIT"
    machine sh -c "mv $STATE/ledger/* /srv/lead-intake-mirror/ && rmdir $STATE/ledger"
    machine sed -i 's|^#dir = .*|dir = "/srv/lead-intake-mirror"|' "$CONFIG"
    drop_in mirror <<<$'[Service]\nReadWritePaths=/srv/lead-intake-mirror'
    start_again
    serves 'with its mirror elsewhere'
    on_database mirror status >"${dir:?}/mirror"
    grep -q ' in /srv/lead-intake-mirror$' "${dir:?}/mirror" || die 'the mirror is not where it was put'
    echo 'mirror elsewhere: ok'
}
