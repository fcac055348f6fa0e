# SPDX-License-Identifier: BSD-3-Clause
# Sums up ctest's JUnit report: provider, counts, and every skipped test with its reason.
function unescape(s) {
  gsub(/&quot;/, "\"", s); gsub(/&apos;/, "'", s); gsub(/&lt;/, "<", s); gsub(/&gt;/, ">", s)
  gsub(/&amp;/, "\\&", s)
  return s
}
/<testcase / {
  name = $0; sub(/.*<testcase name="/, "", name); sub(/" classname=.*/, "", name)
  reason = ""; take_reason = 0
  state = ($0 ~ /status="run"/) ? "passed" : ($0 ~ /status="fail"/) ? "failed" : \
          ($0 ~ /status="disabled"/) ? "disabled" : "skipped"
  count[state]++
}
# GoogleTest prints "file:line: Skipped" and the reason on the next line.
take_reason { reason = unescape($0); take_reason = 0 }
/: Skipped$/ { take_reason = 1 }
/<\/testcase>/ {
  if (state == "skipped" || state == "disabled")
    skipped[++n] = unescape(name) ": " (reason != "" ? reason : "no reason given")
}
END {
  printf "\nprovider: %s (%s)\n", provider, preset
  for (i = 1; i <= n; i++) print "skipped: " skipped[i]
  printf "%d passed, %d failed, %d skipped\n", count["passed"], count["failed"], n
}
