#!/bin/sh
# Write the secrets that docker compose hands to its containers into secrets/, those that are missing.
set -eu
cd "$(dirname "$0")/.."
# The folder is for its owner alone. The files in it must be readable by the containers' own users.
mkdir -p -m 700 secrets
umask 022
random() {
  od -An -N32 -tx1 /dev/urandom | tr -d ' \n'
}

for name in postgres_password redis_password fastmtl_secret grafana_password s3_credentials; do
  test -s "secrets/$name" && continue
  case $name in
    s3_credentials) printf '[default]\naws_access_key_id = fastmtl\naws_secret_access_key = %s\n' "$(random)" ;;
    *) random ;;
  esac > "secrets/$name"
  echo "secrets/$name is written"
done
