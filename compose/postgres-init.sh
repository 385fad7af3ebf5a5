#!/usr/bin/env bash
# Run once by the PostgreSQL image, on an empty data directory: makes the service's role, which is
# no superuser, and its database.
set -euo pipefail

# `getenv` keeps the password off the command line. Statement logging is off by default, so it does
# not reach the log either.
LEAD_INTAKE_PASSWORD="$(cat /run/secrets/postgres-password)"
export LEAD_INTAKE_PASSWORD

psql --no-psqlrc --set=ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname postgres <<'SQL'
\getenv password LEAD_INTAKE_PASSWORD
CREATE ROLE lead_intake LOGIN PASSWORD :'password';
CREATE DATABASE lead_intake OWNER lead_intake TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';
REVOKE ALL ON DATABASE lead_intake FROM PUBLIC;
SQL
