# Counts the errors that the provisioning agent has written to its own event log in the last days (PV08), and how often Windows saw its
# services end unexpectedly (PV07: events 7031 and 7034 of the service manager [K]). Changes nothing, and shows no text of an event
# but for its number: people's data may be in it.
# Input: {"services": ["name"], "days": n}: of the last so many days, and of one at least. Output: one line {"events": [{"id", "minutes"}], "noise": n, "ends": [{"id", "minutes"}]}, or
# {"error": {...}} in the place of the first two, and {"ends": {"why": "..."}}.
$most = 1000
function Find-Events($filter) {
    $days = [Math]::Max(1, [int]$in.days)
    $filter['StartTime'] = [DateTime]::Now.AddDays(-$days)
    # One event whose text cannot be put together says nothing about the others.
    $wrong = @()
    $found = @(Get-WinEvent -FilterHashtable $filter -MaxEvents $most -ErrorAction SilentlyContinue -ErrorVariable 'wrong')
    foreach ($one in $wrong) {
        if (-not $found.Count -and $one.FullyQualifiedErrorId -notlike 'NoMatchingEventsFound*') { throw $one }
    }
    , $found
}
function Get-Age($one) { [int][Math]::Floor(([DateTime]::Now - $one.TimeCreated).TotalMinutes) }
Read-Part 'ends' {
    # The service manager writes the name that people see, as the first of an event's values.
    $names = @($in.services)
    foreach ($name in $in.services) {
        $service = Get-Service -Name $name -ErrorAction SilentlyContinue
        if ($service) { $names += $service.DisplayName }
    }
    $rows = @()
    foreach ($one in (Find-Events @{ LogName = 'System'; ProviderName = 'Service Control Manager'; Id = 7031, 7034 })) {
        if ($names -contains [string]$one.Properties[0].Value) { $rows += @{ id = [int]$one.Id; minutes = (Get-Age $one) } }
    }
    , $rows
}
try {
    $found = Find-Events @{ LogName = 'Microsoft-AzureADConnect-ProvisioningAgent/Admin'; Level = 1, 2 }
    $noise = 0
    $rows = @()
    foreach ($one in $found) {
        # Two errors about performance counters recur on agents that are well.
        if ([string]$one.Message -match '(?i)performance counter') {
            $noise++
            continue
        }
        $rows += @{ id = [int]$one.Id; minutes = (Get-Age $one) }
    }
    if (-not $rows.Count -and $found.Count -ge $most) { throw "the newest $most errors are all about performance counters" }
    Say @{ events = $rows; noise = $noise; ends = $out['ends'] }
} catch {
    Say @{ error = @{ at = 'Get-WinEvent'; message = (Reason $_) }; ends = $out['ends'] }
}
