# Reads the errors of the last day that Windows' event logs hold of a product's service or program (probes PV04, PV22, PV34). Changes nothing.
# The lines stay in the agent, which looks for known errors in them and shows the line that it knows: people's data may be in
# the others.
# Input: {"logs": ["log"], "names": ["service, program, or how a source ends"], "since": from when on, in milliseconds since 1970 (UTC), or null}. Output: one line {"lines": ["source id: ..."]}, or {"lines": {"why": "..."}}.
$start = [DateTime]::UtcNow.AddDays(-1)
if ($in.since) {
    # What was recorded before something was done is of other work.
    $since = ([DateTime]'1970-01-01').AddMilliseconds($in.since)
    if ($since -gt $start) { $start = $since }
}
function Read-Errors([string]$log) {
    $filter = @{ LogName = $log; Level = 1, 2; StartTime = $start.ToLocalTime() }
    # One event whose text cannot be put together says nothing about the others.
    $wrong = @()
    $found = @(Get-WinEvent -FilterHashtable $filter -MaxEvents 500 -ErrorAction SilentlyContinue -ErrorVariable 'wrong')
    foreach ($one in $wrong) {
        if (-not $found.Count -and $one.FullyQualifiedErrorId -notlike 'NoMatchingEventsFound*') { throw $one }
    }
    , $found
}
Read-Part 'lines' {
    $names = @($in.names)
    $service = Get-Service -Name $names[0] -ErrorAction SilentlyContinue
    # The service manager writes the name that people see.
    if ($service) { $names += $service.DisplayName }
    $lines = @()
    $unread = @()
    foreach ($log in $in.logs) {
        # A product that was never set up has no log of its own.
        try { $found = Read-Errors $log } catch { $unread += "$($log): $(Reason $_)"; continue }
        foreach ($one in $found) {
            $text = [string]$one.Message
            $own = $log -like '*/Admin'
            foreach ($name in $names) {
                if ($one.ProviderName -like "*$name" -or $text.IndexOf($name, [StringComparison]::OrdinalIgnoreCase) -ge 0) { $own = $true }
            }
            if (-not $own -or $lines.Count -ge 2000) { continue }
            # Source and id say in every language what it is.
            foreach ($line in $text.Split("`n")) {
                if (-not $line.Trim()) { continue }
                $line = "$($one.ProviderName) $($one.Id): $($line.Trim())"
                $lines += $line.Substring(0, [Math]::Min($line.Length, 1000))
            }
        }
    }
    if ($unread.Count -eq @($in.logs).Count) { throw ($unread -join '; ') }
    , $lines
}
Say $out
