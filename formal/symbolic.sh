#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Lets the prover E decide what the attacker of formal/symbolic/*.p can reach; a few seconds. `safe` lines must
# saturate (no attack exists in the model), `attack` lines must be refuted (the attack was found).
set -uo pipefail
cd "$(dirname "$0")/symbolic" || exit 1

if ! command -v eprover >/dev/null; then
    echo "SKIPPED: eprover is not there, so the handshake was NOT checked; tools/setup.sh test installs it." >&2
    exit 77
fi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0
select=NoSelection # of E's strategies the one that saturates

# decide VERDICT SENTENCE MODEL DEFINITIONS…
decide() {
    local verdict=$1 sentence=$2 model=$3 status expected
    shift 3
    case $verdict in
    safe) expected=Satisfiable ;;
    attack) expected=Unsatisfiable ;;
    esac
    ${CC:-gcc} -E -P -x c "${@/#/-D}" "$model.p" -o "$dir/model.p" || exit 1
    status=$(eprover --literal-selection-strategy=$select -tKBO6 -s --cpu-limit=20 --memory-limit=500 \
        "$dir/model.p" | sed -n 's/^# SZS status //p')
    if [ "$status" = "$expected" ]; then
        printf '%-7s %s\n' "$verdict" "$model: $sentence"
    else
        printf 'FAILED: %s: %s (%s): expected %s, got %s\n' "$model" "$sentence" "$*" "$expected" "${status:-nothing}"
        failed=1
    fi
}

h=handshake
both="LEAK_KEM LEAK_SIG"
all="$both LEAK_CLIENT"
# shellcheck disable=SC2086 # lists of words
{
    decide attack "sanity: an honest client gets through" $h GOAL_C_DONE
    decide attack "sanity: an honest client is accepted by the server" $h GOAL_S_DONE

    decide safe "what C publishes is secret" $h GOAL_C_RECORD
    decide safe "… with C's signature key leaked" $h GOAL_C_RECORD LEAK_CLIENT
    decide safe "… with the server's KEM key leaked" $h GOAL_C_RECORD LEAK_KEM
    decide safe "… with the server's signature key leaked" $h GOAL_C_RECORD LEAK_SIG
    decide attack "… but not with both of the server's keys leaked" $h GOAL_C_RECORD $both
    decide safe "what S sends to C is secret" $h GOAL_S_RECORD
    decide safe "… with both of the server's keys leaked" $h GOAL_S_RECORD $both
    decide attack "… but not with C's key leaked" $h GOAL_S_RECORD LEAK_CLIENT
    decide safe "M of step 0 is secret" $h GOAL_M
    decide attack "… but not with the server's KEM key leaked" $h GOAL_M LEAK_KEM
    decide safe "recorded records of C stay secret after all long-term keys leak" $h GOAL_C_RECORD PASSIVE $all
    decide safe "recorded records of S stay secret after all long-term keys leak" $h GOAL_S_RECORD PASSIVE $all
    decide attack "… but not after C's ephemeral leaks with them" $h GOAL_C_RECORD PASSIVE LEAK_EPHEMERAL $all

    decide safe "C accepts only if the server answered" $h GOAL_C_DONE NO_SERVER
    decide safe "… with C's key and the server's KEM key leaked" $h GOAL_C_DONE NO_SERVER LEAK_KEM LEAK_CLIENT
    decide safe "… with C's key and the server's signature key leaked" $h GOAL_C_DONE NO_SERVER LEAK_SIG LEAK_CLIENT
    decide attack "… but not with both of the server's keys leaked" $h GOAL_C_DONE NO_SERVER $both
    decide safe "… a step 0 with C's cid" $h GOAL_C_DONE S_CID=other LEAK_KEM
    decide safe "… a step 0 of C, not of another client" $h GOAL_C_DONE "S_CP=spk(own)" LEAK_KEM
    decide safe "… a step 0 with C's M" $h GOAL_C_DONE S_M=other LEAK_KEM
    decide safe "S accepts C only if C confirmed to S" $h GOAL_S_DONE NO_CLIENT_CONFIRMS
    decide safe "… with both of the server's keys leaked" $h GOAL_S_DONE NO_CLIENT_CONFIRMS $both
    decide attack "… but not with C's key leaked" $h GOAL_S_DONE NO_CLIENT_CONFIRMS LEAK_CLIENT

    decide attack "broken: step 2 not signed" $h GOAL_C_DONE NO_SERVER LEAK_KEM UNSIGNED_STEP2
    decide attack "broken: step 3 not signed" $h GOAL_S_DONE NO_CLIENT_CONFIRMS UNSIGNED_STEP3
    decide attack "broken: step 3 does not name the server" $h GOAL_S_DONE NO_CLIENT_CONFIRMS STEP3_NAMES_NO_SERVER

    r=records
    decide attack "sanity: a record is taken" $r GOAL_TAKEN
    decide attack "sanity: it is confirmed" $r GOAL_CONFIRMED
    decide safe "its content is secret, with another session's keys leaked" $r GOAL_SECRET LEAK_OTHER_SESSION
    decide safe "none is forged" $r GOAL_FORGED LEAK_OTHER_SESSION
    decide safe "none is moved to another topic" $r GOAL_TOPIC LEAK_OTHER_SESSION
    decide safe "none is taken under another number" $r GOAL_NUMBER LEAK_OTHER_SESSION
    decide safe "none is taken in another session" $r GOAL_SESSION
    decide safe "a receipt is not taken for a record" $r GOAL_REFLECTED LEAK_OTHER_SESSION
    decide safe "nothing is confirmed that was not taken" $r GOAL_CONFIRMED NOTHING_TAKEN LEAK_OTHER_SESSION
    decide attack "… but not with the session's own keys leaked" $r GOAL_CONFIRMED NOTHING_TAKEN LEAK_SESSION
    decide attack "broken: topic not in the additional data" $r GOAL_TOPIC TOPIC_NOT_BOUND
    decide attack "broken: one key for both ways" $r GOAL_REFLECTED ONE_KEY

    decide safe "the text itself stays secret" paper GOAL_M
    decide attack "a guess at the text can be tested" paper GOAL_GUESS
    decide attack "the server saves a text that no client sent" paper GOAL_FORGED_TEXT
    decide attack "the client accepts times that nobody signed" paper GOAL_FORGED_TIME
    decide attack "the server signs whatever it is sent" paper GOAL_ORACLE

    select=SelectNegativeLiterals # the same for clauses without functions
    i=identities
    new="holds(b,v3)"
    decide attack "sanity: the client takes a renewal" $i GOAL_RENEWED
    decide attack "sanity: the client takes a successor" $i GOAL_FOLLOWED
    decide attack "sanity: a revocation is obeyed" $i GOAL_ENDED_OLD REVOKED=a
    decide safe "the attacker's keys never take the place of the owner's" $i GOAL_FOREIGN
    decide attack "… but with the keys that the client knows leaked" $i GOAL_FOREIGN LEAK_OLD NO_SUCCESSION
    decide attack "… or those that they vouch for" $i GOAL_FOREIGN LEAK_NEW
    decide safe "… and not with the predecessor's keys leaked, once followed" $i GOAL_FOREIGN "START=$new" LEAK_OLD
    decide safe "no descriptor is taken that the owner did not sign" $i GOAL_MADE_UP
    decide safe "the predecessor's keys never come back, not even leaked" $i GOAL_OLD_KEYS "START=$new" LEAK_OLD
    decide safe "an older version never comes back" $i GOAL_OLD_VERSION "START=holds(a,v2)"
    decide safe "nobody follows when the grace time is over" $i GOAL_NEW NOW=tomorrow
    decide safe "… with the successor's keys leaked" $i GOAL_NEW NOW=tomorrow LEAK_NEW
    decide safe "nobody is revoked but by his own keys" $i GOAL_ENDED_OLD
    decide safe "… and the successor not by those of the predecessor" $i GOAL_ENDED_NEW REVOKED=a LEAK_OLD
    decide attack "… but by his own, leaked" $i GOAL_ENDED_OLD LEAK_OLD
    decide attack "broken: the old keys do not sign for whom they vouch" $i GOAL_FOREIGN KEYS_NOT_VOUCHED_FOR
    decide attack "broken: the old keys do not sign until when" $i GOAL_NEW NOW=tomorrow LEAK_NEW TIME_NOT_VOUCHED_FOR
    decide attack "broken: versions are not judged" $i GOAL_OLD_VERSION "START=holds(a,v2)" VERSION_NOT_JUDGED
    decide attack "broken: signatures without labels" $i GOAL_FOREIGN LABELS_NOT_SIGNED
}
exit $failed
