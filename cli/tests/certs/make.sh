#!/bin/sh
# Makes the certificates here anew: an authority, a server's, another server's for the same name, a
# client's; good for a hundred years. They are for tests and protect nothing.
set -eu
cd "$(dirname "$0")"
days=36500
key() { openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out "$1.key"; }
key ca
openssl req -x509 -new -key ca.key -days $days -subj "/CN=shmetrics test authority" -out ca.crt \
    -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign
issue() { # name, subject, extensions
    key "$1"
    openssl req -new -key "$1.key" -subj "/CN=$2" -out "$1.csr"
    printf '%s\n' "basicConstraints=CA:false" "$3" > "$1.ext"
    openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -days $days -set_serial "$4" -extfile "$1.ext" -out "$1.crt" 2> /dev/null
    rm "$1.csr" "$1.ext"
}
names='subjectAltName=DNS:localhost,IP:127.0.0.1'
issue server localhost "$names" 1001
issue server2 localhost "$names" 1002
issue client prometheus 'extendedKeyUsage=clientAuth' 1003
rm ca.key
