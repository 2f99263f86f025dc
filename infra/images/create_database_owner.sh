#!/bin/bash
# Runs in a postgres image, once, when the server's folder is new: makes a login with a database of its own. Whoever
# uses the database later is no superuser. The password goes from its file to the server and is in no list of processes.
set -euo pipefail

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname postgres \
    --set owner="$DATABASE_OWNER" --set rights="$DATABASE_OWNER_RIGHTS" <<'SQL'
\set password `cat "$DATABASE_OWNER_PASSWORD_FILE"`
set log_min_error_statement = panic;
create role :"owner" login nosuperuser :rights password :'password';
create database :"owner" owner :"owner";
SQL
