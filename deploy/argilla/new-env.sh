#!/bin/sh
# Writes .env beside it: random passwords and keys for compose.yaml, readable by you alone. An .env that is there stays.
set -eu
cd "$(dirname "$0")"
if [ -e .env ]; then
    echo ".env is there already: it holds the passwords of the data in the volumes. Nothing was changed." >&2
    exit 1
fi
random() { head -c "$1" /dev/urandom | od -An -tx1 | tr -d ' \n'; }
umask 077
cat > .env.part <<END
ARGILLA_USERNAME=owner
ARGILLA_PASSWORD=$(random 12)
ARGILLA_API_KEY=$(random 32)
ARGILLA_WORKSPACE=rlhf
ARGILLA_AUTH_SECRET_KEY=$(random 32)
POSTGRES_PASSWORD=$(random 24)
REDIS_PASSWORD=$(random 24)
END
mv .env.part .env
echo "wrote .env: the owner's password and API key stand in it"
