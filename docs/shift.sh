#!/bin/sh
# A first shift on a book of its own, with the commands that every shift uses. Needs nothing prepared; the book
# stays in a temporary folder, whose path is printed at the end.
set -eu
cd "$(dirname "$0")/.."
cargo build --quiet -p daybook-cli
folder=$(mktemp -d)
export DAYBOOK_BOOK="$folder/book" DAYBOOK_PASSPHRASE="an exercise needs no secret"
daybook() {
  printf '\n$ daybook'
  for word in "$@"; do case $word in *[!A-Za-z0-9./=_-]*) printf ' "%s"' "$word" ;; *) printf ' %s' "$word" ;; esac; done
  printf '\n'
  ./target/debug/daybook "$@"
}
daybook init --incident "River flood" --organisation "Relief" --person "Ana Ruiz" --exercise
daybook patient add --tag A-17 --sex female
daybook patient edit A-17 --set name="Okafor, Ada" --set birth=1987-04
daybook allergy add A-17 penicillin
daybook observe A-17 weight 132 lb
daybook stock receive doxycycline --quantity "100 tablet" --lot K7 --expiry 2027-06
# The warning: this one is refused until somebody says why.
daybook dispense A-17 amoxicillin --lot L1 --expiry 2027-01 --quantity "20 capsule" --days 10 || true
daybook dispense A-17 doxycycline --lot K7 --expiry 2027-06 --quantity "20 tablet" --days 10
daybook patient show A-17
daybook stock show
daybook findings
daybook verify
printf '\nThe book is in %s\n' "$DAYBOOK_BOOK"
