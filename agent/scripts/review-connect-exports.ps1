# Counts what a staging server of Connect Sync would export if it became active, and reads what its scheduler still wants.
# Changes nothing. What the product's tools write on the way holds people's data: it lies in the agent's own folder, which
# `entrain-agent enroll` leaves to administrators, and is deleted at the end, or at the next beginning where there was no end.
# Input: {}. Output: one line {"running": true} while a cycle runs, or a line {"connector", "add", "update", "delete",
# "other"} for each connector, in objects, and one line {"full": ["connector"], "initial": true or false, or null where the scheduler
# does not tell whether its next cycle is a full one, "nextInMinutes": n, "everyMinutes": n, "ran": true or false, or null where the history
# of runs cannot be read}; or {"error": {...}}.
$folder = $null
try {
    $bin = $in.engine
    Import-ConnectModule 'Get-ADSyncConnector', 'Get-ADSyncConnectorRunStatus', 'Get-ADSyncScheduler', 'Get-ADSyncSchedulerConnectorOverride'
    function Test-Running { @(Get-ADSyncConnectorRunStatus | Where-Object { $_ }).Count -gt 0 }
    $said = @()
    $begun = (Get-ADSyncScheduler).NextSyncCycleStartTimeInUTC
    $running = Test-Running
    if (-not $running) {
        $own = Join-Path $env:ProgramData 'Entrain'
        if (-not (Test-Path $own)) { throw "$own is not there: nowhere else would the exports be guarded" }
        $folder = Join-Path $own 'exports'
        if (Test-Path $folder) { Remove-Item -Path $folder -Recurse -Force }
        $null = New-Item -ItemType Directory -Path $folder
        $number = 0
        foreach ($connector in @(Get-ADSyncConnector)) {
            $number++
            $xml = Join-Path $folder "$number.xml"
            $null = & "$bin\csexport.exe" $connector.Name $xml '/f:x'
            if ($LASTEXITCODE -ne 0) { throw "csexport ended with $LASTEXITCODE for $($connector.Name)" }
            # Where nothing is pending there is nothing below the root, and nothing to be analyzed.
            $objects = 0
            $below = 0
            $reader = [Xml.XmlReader]::Create($xml)
            try {
                while ($reader.Read()) {
                    if ($reader.NodeType -ne [Xml.XmlNodeType]::Element) { continue }
                    if ($reader.Depth -gt 0) { $below++ }
                    if ($reader.LocalName -eq 'cs-object') { $objects++ }
                }
            } finally { $reader.Dispose() }
            if ($objects -eq 0 -and $below -gt 0) { throw "what csexport wrote for $($connector.Name) holds no object that is known here" }
            $count = @{ connector = [string]$connector.Name; add = 0; update = 0; delete = 0; other = 0 }
            if ($objects -gt 0) {
                $rows = @(& "$bin\CSExportAnalyzer.exe" $xml)
                if ($LASTEXITCODE -ne 0) { throw "CSExportAnalyzer ended with $LASTEXITCODE for $($connector.Name)" }
                # In one piece: a value may hold a line break.
                $rows = @(($rows -join "`r`n") | ConvertFrom-Csv)
                # One row for each change of an object; the object is known by its DN.
                $seen = @{}
                foreach ($row in $rows) {
                    if ($null -eq $row.DN -or $null -eq $row.OMODT) { throw 'the list of CSExportAnalyzer has no columns DN and OMODT' }
                    $kind = ([string]$row.OMODT).Trim().ToLowerInvariant()
                    if ($kind -notin 'add', 'update', 'delete') { $kind = 'other' }
                    $object = "$kind $($row.DN)"
                    if (-not $seen.ContainsKey($object)) {
                        $seen[$object] = $true
                        $count[$kind]++
                    }
                }
                # Names that a code page cannot tell apart, or rows that are missing, would count too little.
                if ($seen.Count -ne $objects) { throw "CSExportAnalyzer shows $($seen.Count) of the $objects objects that csexport found for $($connector.Name)" }
            }
            $said += $count
        }
        $full = @()
        foreach ($one in @(Get-ADSyncSchedulerConnectorOverride)) {
            if ($null -eq $one.FullImportRequired -or $null -eq $one.FullSyncRequired) {
                throw 'the overrides do not tell whether a full import or synchronization is required'
            }
            if ($one.FullImportRequired -or $one.FullSyncRequired) { $full += [string]$one.ConnectorName }
        }
        $scheduler = Get-ADSyncScheduler
        $initial = $null
        switch ([string]$scheduler.NextSyncCyclePolicyType) {
            'Initial' { $initial = $true }
            'Delta' { $initial = $false }
        }
        # When a cycle is due says nothing of whether one ever ran. The history is asked apart: its cmdlet is in no page of the vendor's.
        $ran = $null
        try {
            Assert-Calls 'Get-ADSyncRunProfileResult -NumberRequested'
            $ran = @(Get-ADSyncRunProfileResult -NumberRequested 1 | Where-Object { $_ }).Count -gt 0
        } catch { $ran = $null }
        $next = ([datetime]$scheduler.NextSyncCycleStartTimeInUTC - [datetime]::UtcNow).TotalMinutes
        $every = ([timespan]$scheduler.CurrentlyEffectiveSyncCycleInterval).TotalMinutes
        $said += @{ full = $full; initial = $initial; nextInMinutes = [int][math]::Floor($next); everyMinutes = [int][math]::Ceiling($every); ran = $ran }
        # What a cycle did meanwhile is half in these numbers.
        $running = (Test-Running) -or ($scheduler.NextSyncCycleStartTimeInUTC -ne $begun)
    }
    if ($running) { Say @{ running = $true } } else { foreach ($line in $said) { Say $line } }
} catch {
    Say @{ error = @{ at = 'Get-ADSyncConnector'; message = (Reason $_) } }
} finally {
    if ($folder -and (Test-Path $folder)) { Remove-Item -Path $folder -Recurse -Force }
}
