# Reads the scheduler of Connect Sync. Changes nothing.
# Input: {}. Output: one line {"stagingModeEnabled": bool, "syncCycleEnabled": bool} or {"error": {...}}.
$ErrorActionPreference = 'Stop'
$null = [Console]::In.ReadToEnd()
[Console]::Out.WriteLine('{"started":true}')
try {
    Import-Module ADSync
    $scheduler = Get-ADSyncScheduler
    $seen = @{ stagingModeEnabled = [bool]$scheduler.StagingModeEnabled; syncCycleEnabled = [bool]$scheduler.SyncCycleEnabled }
    [Console]::Out.WriteLine(($seen | ConvertTo-Json -Compress))
} catch {
    [Console]::Out.WriteLine((@{ error = @{ at = 'Get-ADSyncScheduler'; message = $_.Exception.Message } } | ConvertTo-Json -Compress))
}
