# Counts the errors that the provisioning agent has written to its own event log in the last day (PV08). Changes nothing, and
# shows no text of an event but for its number: people's data may be in it.
# Input: {}. Output: one line {"events": [{"id", "minutes"}], "noise": n}, or {"error": {...}}.
try {
    $most = 1000
    $filter = @{
        LogName = 'Microsoft-AzureADConnect-ProvisioningAgent/Admin'
        Level = 1, 2
        StartTime = [DateTime]::Now.AddDays(-1)
    }
    # One event whose text cannot be put together says nothing about the others.
    $wrong = @()
    $found = @(Get-WinEvent -FilterHashtable $filter -MaxEvents $most -ErrorAction SilentlyContinue -ErrorVariable 'wrong')
    foreach ($one in $wrong) {
        if (-not $found.Count -and $one.FullyQualifiedErrorId -notlike 'NoMatchingEventsFound*') { throw $one }
    }
    $noise = 0
    $rows = @()
    foreach ($one in $found) {
        # Two errors about performance counters recur on agents that are well.
        if ([string]$one.Message -match '(?i)performance counter') {
            $noise++
            continue
        }
        $rows += @{ id = [int]$one.Id; minutes = [int][Math]::Floor(([DateTime]::Now - $one.TimeCreated).TotalMinutes) }
    }
    if (-not $rows.Count -and $found.Count -ge $most) { throw "the newest $most errors are all about performance counters" }
    Say @{ events = $rows; noise = $noise }
} catch {
    Say @{ error = @{ at = 'Get-WinEvent'; message = (Reason $_.Exception) } }
}
