#!/bin/sh
# Write the secrets that docker compose hands to its containers into secrets/, those that are missing.
set -eu
cd "$(dirname "$0")/.."
# The folder is for its owner alone. The files in it must be readable by the containers' own users.
mkdir -p -m 700 secrets
umask 022
for name in postgres_password redis_password fastmtl_secret grafana_password s3_secret_key; do
  test -s "secrets/$name" && continue
  od -An -N32 -tx1 /dev/urandom | tr -d ' \n' > "secrets/$name"
  echo "secrets/$name is written"
done
