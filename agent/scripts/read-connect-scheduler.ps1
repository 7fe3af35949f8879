# Reads the scheduler of Connect Sync. Changes nothing.
# Input: {} or {"due": true}. Output: one line {"stagingModeEnabled", "syncCycleEnabled", "schedulerSuspended", "nextInMinutes",
# "everyMinutes", "consoleOpen"}, the first three and the last true or false, the others numbers or null; with "due" also {"full": ["what is due"], "initial": true
# or false, "running": true or false}; or a line {"consoleOpen": true, false or null} and then {"error": {...}}.
# Whether the console is open no module has to tell, and whoever cannot be asked has it open all the same.
try { $open = @(Get-Process | ForEach-Object { $_.ProcessName }) -contains 'miisclient' } catch { $open = $null }
try {
    Import-ConnectModule 'Get-ADSyncScheduler'
    $scheduler = Get-ADSyncScheduler
    foreach ($name in 'StagingModeEnabled', 'SyncCycleEnabled', 'SchedulerSuspended') {
        if ($scheduler.$name -isnot [bool]) { throw "the scheduler does not tell $name" }
    }
    # That no cycle is due leaves the mode as true as it is.
    $next = $null
    $every = $null
    try {
        $due = [int][Math]::Floor(([datetime]$scheduler.NextSyncCycleStartTimeInUTC - [datetime]::UtcNow).TotalMinutes)
        $every = [int][Math]::Ceiling(([timespan]$scheduler.CurrentlyEffectiveSyncCycleInterval).TotalMinutes)
        $next = $due
    } catch { $every = $null }
    $said = @{
        stagingModeEnabled = $scheduler.StagingModeEnabled
        syncCycleEnabled = $scheduler.SyncCycleEnabled
        schedulerSuspended = $scheduler.SchedulerSuspended
        nextInMinutes = $next
        everyMinutes = $every
        consoleOpen = $open
    }
    if ($in.due) {
        Assert-Calls 'Get-ADSyncSchedulerConnectorOverride', 'Get-ADSyncConnectorRunStatus'
        $said.full = @()
        foreach ($one in @(Get-ADSyncSchedulerConnectorOverride)) {
            if ($null -eq $one.FullImportRequired -or $null -eq $one.FullSyncRequired) {
                throw 'the overrides do not tell whether a full import or synchronization is required'
            }
            if ($one.FullImportRequired) { $said.full += "full import of $($one.ConnectorName)" }
            if ($one.FullSyncRequired) { $said.full += "full synchronization of $($one.ConnectorName)" }
        }
        if (-not $scheduler.NextSyncCyclePolicyType) { throw 'the scheduler does not tell NextSyncCyclePolicyType' }
        $said.initial = [string]$scheduler.NextSyncCyclePolicyType -eq 'Initial'
        $said.running = @(Get-ADSyncConnectorRunStatus | Where-Object { $_ }).Count -gt 0
    }
    Say $said
} catch {
    $wrong = $_
    Say @{ consoleOpen = $open }
    Say @{ error = @{ at = 'Get-ADSyncScheduler'; message = (Reason $wrong) } }
}
