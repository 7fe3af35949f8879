# Reads what only Windows and the product's own module can tell about Connect Sync (probes PF31, PF32, PV26 to PV37, CU01 to
# CU03). Changes nothing, and shows no line of a log: people's data may be in it.
# Input: {"through": "host" or null, "webHost": "host" or null, "installed": true or false, "passwords": true or false,
# "upgrade": true or false, "days": n}: events of the last so many days, and of a week at least.
# Output: one line; each part that was asked is there, or {"why": "..."}. What was not read is never told as if it were nothing.

# Events of these days in the Application log, from sources whose names match.
function Read-Events([hashtable]$filter, [string]$source) {
    $filter.LogName = 'Application'
    $days = [Math]::Max(7, [int]$in.days)
    $filter.StartTime = [DateTime]::Now.AddDays(-$days)
    # One event whose text cannot be put together says nothing about the others.
    $wrong = @()
    $found = @(Get-WinEvent -FilterHashtable $filter -ErrorAction SilentlyContinue -ErrorVariable 'wrong')
    foreach ($one in $wrong) {
        if (-not $found.Count -and $one.FullyQualifiedErrorId -notlike 'NoMatchingEventsFound*') { throw $one }
    }
    $rows = @()
    foreach ($one in $found) {
        if ($one.ProviderName -notmatch $source) { continue }
        $rows += @{
            id = [int]$one.Id
            source = [string]$one.ProviderName
            minutes = [int][Math]::Floor(([DateTime]::Now - $one.TimeCreated).TotalMinutes)
        }
    }
    , $rows
}
if ($in.through) {
    $file = Join-Path $env:SystemRoot 'Microsoft.NET\Framework64\v4.0.30319\Config\machine.config'
    Read-Part 'machineProxy' {
        $node = ([xml](Get-Content -Path $file)).SelectSingleNode('/configuration/system.net/defaultProxy[not(@enabled="false")]/proxy/@proxyaddress')
        if ($node) { [string]$node.Value } else { 'none' }
    }
    Read-Part 'machineCredentials' {
        $node = ([xml](Get-Content -Path $file)).SelectSingleNode('/configuration/system.net/defaultProxy/@useDefaultCredentials')
        if ($node) { [string]$node.Value } else { 'false' }
    }
    Read-Part 'systemProxy' {
        # Not the default proxy of this process, which is machine.config's own where there is one.
        $target = [Uri]"https://$($in.through)"
        $proxy = [Net.WebRequest]::GetSystemWebProxy().GetProxy($target)
        if ($null -ne $proxy -and $proxy -ne $target) { return $proxy.ToString() }
        $kept = Get-WinHttpProxy
        if ($kept) { return $kept }
        'none'
    }
}
if ($in.webHost) {
    Read-Part 'web' {
        # Of this process alone: before Windows Server 2019 it would begin with TLS 1.0, which the service refuses ([K]).
        [Net.ServicePointManager]::SecurityProtocol = [Net.SecurityProtocolType]::Tls12
        $request = [Net.WebRequest]::Create("https://$($in.webHost)/ProvisioningService.svc")
        $request.Timeout = 20000
        $answer = $null
        try { $answer = $request.GetResponse() } catch {
            # An answer that refuses comes as an error that holds it.
            for ($one = $_.Exception; $one; $one = $one.InnerException) {
                if ($one -is [Net.WebException]) { $answer = $one.Response }
            }
            if (-not $answer) { throw }
        }
        try { [int]$answer.StatusCode } finally { $answer.Dispose() }
    }
}
if ($in.upgrade) {
    Read-Part 'defaultRules' {
        Import-ConnectModule 'Get-ADSyncRule'
        $number = 0
        $off = @()
        foreach ($one in @(Get-ADSyncRule)) {
            if ($one.IsStandardRule -isnot [bool] -or $one.Disabled -isnot [bool]) { throw 'a rule does not tell whether it is a default one, or disabled' }
            if (-not $one.IsStandardRule) { continue }
            $number++
            if ($one.Disabled) { $off += [string]$one.Name }
        }
        if (-not $number) { throw 'the module names no default rule' }
        @{ number = $number; disabled = $off }
    }
    Read-Part 'overrides' {
        Import-ConnectModule 'Get-ADSyncSchedulerConnectorOverride'
        $due = @()
        foreach ($one in @(Get-ADSyncSchedulerConnectorOverride)) {
            if ($null -eq $one.FullImportRequired -or $null -eq $one.FullSyncRequired) {
                throw 'the overrides do not tell whether a full import or synchronization is required'
            }
            if ($one.FullImportRequired) { $due += "full import of $($one.ConnectorName)" }
            if ($one.FullSyncRequired) { $due += "full synchronization of $($one.ConnectorName)" }
        }
        , $due
    }
    Read-Part 'objects' {
        Import-ConnectModule 'Get-ADSyncConnector', 'Get-ADSyncConnectorStatistics -ConnectorName'
        # Each object is in more than one connector space: the largest has most of them.
        $most = 0
        $connectors = @(Get-ADSyncConnector)
        if (-not $connectors.Count) { throw 'the module names no connector' }
        foreach ($one in $connectors) {
            $kept = Get-ADSyncConnectorStatistics -ConnectorName $one.Name
            if ($null -eq $kept.TotalConnectors) { throw 'the module tells no TotalConnectors' }
            $most = [Math]::Max($most, [int64]$kept.TotalConnectors)
        }
        $most
    }
    Read-Part 'fullRuns' {
        Import-ConnectModule 'Get-ADSyncRunProfileResult -NumberRequested'
        # The newest come first; of each connector and full profile the newest that ended well counts.
        $seen = @{}
        $rows = @()
        foreach ($one in @(Get-ADSyncRunProfileResult -NumberRequested 1000)) {
            if ($one.RunProfileName -notlike 'Full *' -or $one.Result -ne 'success') { continue }
            if ($null -eq $one.StartDate -or $null -eq $one.EndDate) { throw 'the module tells no StartDate or EndDate of a run' }
            $what = "$($one.ConnectorName), $($one.RunProfileName)"
            if ($seen.ContainsKey($what)) { continue }
            $seen[$what] = $true
            $took = ([datetime]$one.EndDate - [datetime]$one.StartDate).TotalMinutes
            if ($took -lt 0) { throw "the run $what ends before it begins" }
            $rows += @{ run = $what; minutes = [int][Math]::Ceiling($took) }
        }
        , $rows
    }
}
if ($in.installed) {
    Read-Part 'identity' {
        Import-ConnectModule 'Get-ADSyncEntraConnectorCredential'
        $kind = (Get-ADSyncEntraConnectorCredential).ConnectorIdentityType
        if (-not $kind) { throw 'the module names no ConnectorIdentityType' }
        [string]$kind
    }
    Read-Part 'connectors' {
        Import-ConnectModule 'Get-ADSyncConnector'
        $rows = @()
        foreach ($one in @(Get-ADSyncConnector)) { $rows += @{ name = [string]$one.Name; identifier = [string]$one.Identifier } }
        , $rows
    }
    if ($in.passwords) {
        Read-Part 'passwords' {
            Import-ConnectModule 'Get-ADSyncConnector', 'Get-ADSyncAADPasswordSyncConfiguration -SourceConnector'
            $rows = @()
            foreach ($one in @(Get-ADSyncConnector)) {
                # The tenant's own connector has none.
                if ([string]$one.Identifier -like '*b891884f-051e-4a83-95af-2544101c9083*') { continue }
                $kept = Get-ADSyncAADPasswordSyncConfiguration -SourceConnector $one.Name
                if ($kept.Enabled -isnot [bool]) { throw 'the module does not tell Enabled' }
                $rows += @{ connector = [string]$one.Name; on = $kept.Enabled }
            }
            , $rows
        }
    }
    Read-Part 'runs' {
        Import-ConnectModule 'Get-ADSyncRunProfileResult -NumberRequested'
        # The newest come first. One that is under way has no end yet, or says so itself.
        $rows = @()
        foreach ($one in @(Get-ADSyncRunProfileResult -NumberRequested 40 | Where-Object { $_ })) {
            $rows += @{
                run = "$($one.ConnectorName), $($one.RunProfileName)"
                result = [string]$one.Result
                ended = $null -ne $one.EndDate -and $one.EndDate -ge $one.StartDate -and $one.IsRunComplete -ne $false
            }
        }
        , $rows
    }
    Read-Part 'autoUpgrade' {
        Import-ConnectModule 'Get-ADSyncAutoUpgrade'
        $state = [string](Get-ADSyncAutoUpgrade)
        $detail = ''
        try { Assert-Calls 'Get-ADSyncAutoUpgrade -Detail'; $detail = Get-ADSyncAutoUpgrade -Detail | Out-String -Width 400 } catch { $detail = '' }
        @{ state = $state; detail = ($detail -replace '\s+', ' ').Trim() }
    }
    Read-Part 'certificates' { Read-Events @{ Id = 1011, 1012 } '(?i)ADSync|Directory Synchronization|Connect' }
    Read-Part 'upgrades' {
        $rows = @()
        foreach ($one in (Read-Events @{ Level = 1, 2 } '(?i)Connect Upgrade$')) {
            if ($one.id -ge 300 -and $one.id -le 399) { $rows += $one }
        }
        , $rows
    }
    Read-Part 'trace' {
        $newest = Get-ChildItem -Path "$env:ProgramData\AADConnect\trace-*.log" |
            Sort-Object -Property LastWriteTimeUtc | Select-Object -Last 1
        if (-not $newest) { throw 'no trace is there' }
        $errors = @(Get-Content -Path $newest.FullName -Tail 2000 | Where-Object { $_ -cmatch '\bERROR\b' })
        @{ file = $newest.Name; errors = $errors.Count }
    }
}
Say $out
