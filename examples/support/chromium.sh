# shellcheck shell=bash
# The browser of the examples' tests. To be sourced after scripts/lib.sh.

# Exports CHROMIUM: what the caller's environment names, or Debian's, which is installed if there is none. Installs
# what drives it too (examples/website/tests/support/browser.js).
ensure_chromium() {
    if [ -z "${CHROMIUM:-}" ]; then
        # Ubuntu's package only asks snapd for a snap, which a container and most CI machines cannot run.
        if ! command -v chromium >/dev/null && grep -q '^ID=ubuntu' /etc/os-release 2>/dev/null; then
            die 'no chromium. On Ubuntu it is a snap: run "snap install chromium", or name another Chromium or Chrome with CHROMIUM=/path/to/it'
        fi
        ensure_programs chromium chromium
        CHROMIUM="$(command -v chromium)"
    fi
    [ -x "$CHROMIUM" ] || die "CHROMIUM is no program: $CHROMIUM"
    export CHROMIUM
    ensure_node
    npm_install examples/website
}
