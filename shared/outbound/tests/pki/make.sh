#!/bin/sh
# Makes all certificates of this folder anew (OpenSSL 3). See README.md.
set -eu
folder=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
here='DNS:localhost,IP:127.0.0.1'

# key FILE: a new private key.
key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }

# own NAME COMMON-NAME EXTENSION...: NAME.crt, signed with its own key.
own() {
    name=$1 subject=$2
    shift 2
    key "$name.key"
    : > "$name.index"
    printf '[ca]\ndefault_ca=%s\n[%s]\ndatabase=%s.index\nnew_certs_dir=.\nrand_serial=yes\ndefault_md=sha256\n' \
        "$name" "$name" "$name" > "$name.cnf"
    printf 'policy=any\n[any]\ncommonName=supplied\n' >> "$name.cnf"
    { echo '[extensions]'; printf '%s\n' "$@"; } > "$name.ext"
    openssl req -new -key "$name.key" -subj "/CN=$subject" -out "$name.csr"
    issue "$name" "$name" 20200101 21200101 -selfsign
}

# authority NAME COMMON-NAME
authority() {
    own "$1" "$2" basicConstraints=critical,CA:TRUE keyUsage=critical,keyCertSign,cRLSign
    cp "$1.crt" "$folder/$1.pem"
}

# issue AUTHORITY NAME FROM UNTIL [OPTION]: signs NAME.csr with the extensions of NAME.ext.
issue() {
    openssl ca -batch -notext -config "$1.cnf" -keyfile "$1.key" -in "$2.csr" -out "$2.crt" \
        -startdate "${3}000000Z" -enddate "${4}000000Z" -extfile "$2.ext" -extensions extensions \
        ${5:+"$5"} $([ "$1" = "$2" ] || echo "-cert $1.crt") 2> log || { cat log >&2; exit 1; }
}

# leaf AUTHORITY NAME FROM UNTIL USAGE [NAMES]: a certificate and its key, in one file.
leaf() {
    key "$2.key"
    openssl req -new -key "$2.key" -subj "/CN=$2" -out "$2.csr"
    printf '[extensions]\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=%s\n' "$5" > "$2.ext"
    [ -z "${6-}" ] || printf 'subjectAltName=%s\n' "$6" >> "$2.ext"
    issue "$1" "$2" "$3" "$4"
    cat "$2.crt" "$2.key" > "$folder/$2.pem"
}

# self_signed NAME CA: a server's certificate that it signed itself, as authority (TRUE) or not (FALSE).
self_signed() {
    own "$1" "$1" "basicConstraints=critical,CA:$2" "subjectAltName=$here"
    cat "$1.crt" "$1.key" > "$folder/$1.pem"
}

authority ca 'replicante tests ca'
authority other-ca 'replicante tests other ca'
leaf ca server 20200101 21200101 serverAuth "$here"
leaf ca elsewhere 20200101 21200101 serverAuth DNS:expired.example
leaf ca expired 20200101 20200201 serverAuth "$here"
leaf ca early 21190101 21200101 serverAuth "$here"
leaf other-ca stray 20200101 21200101 serverAuth "$here"
leaf ca client 20200101 21200101 clientAuth
leaf ca client-expired 20200101 20200201 clientAuth
leaf ca client-early 21190101 21200101 clientAuth
leaf other-ca client-stray 20200101 21200101 clientAuth
cat client.crt client-stray.key > "$folder/client-mismatch.pem"
self_signed self-signed FALSE
self_signed self-signed-ca TRUE
