#!/bin/bash
# Run once by the PostgreSQL image on an empty volume: the ledger's own user and database beside Airflow's.
set -euo pipefail
psql --set=ON_ERROR_STOP=1 --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" \
    --set=password="$LEDGER_PASSWORD" <<'SQL'
CREATE USER pismo_ledger PASSWORD :'password';
CREATE DATABASE pismo_ledger OWNER pismo_ledger;
SQL
