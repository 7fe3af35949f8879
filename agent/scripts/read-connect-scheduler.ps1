# Reads the scheduler of Connect Sync. Changes nothing.
# Input: {}. Output: one line {"stagingModeEnabled", "syncCycleEnabled", "schedulerSuspended"}, each true or false, or
# {"error": {...}}.
try {
    Import-ConnectModule
    $scheduler = Get-ADSyncScheduler
    foreach ($name in 'StagingModeEnabled', 'SyncCycleEnabled', 'SchedulerSuspended') {
        if ($scheduler.$name -isnot [bool]) { throw "the scheduler does not tell $name" }
    }
    Say @{
        stagingModeEnabled = $scheduler.StagingModeEnabled
        syncCycleEnabled = $scheduler.SyncCycleEnabled
        schedulerSuspended = $scheduler.SchedulerSuspended
    }
} catch {
    Say @{ error = @{ at = 'Get-ADSyncScheduler'; message = (Reason $_.Exception) } }
}
