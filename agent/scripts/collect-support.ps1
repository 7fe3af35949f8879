# Has the provisioning agent's own tools collect their logs into a file (product facts 1.9). It holds people's data: it lies in
# the agent's own folder, which `entrain-agent enroll` leaves to administrators, and leaves the server by nobody's hand but
# theirs. The two newest are kept.
# Input: {"tools": "folder of the module"}. Output: one line {"path", "bytes", "sha256"}, or {"error": {...}}.
$at = 'Import-Module'
try {
    $own = Join-Path $env:ProgramData 'Entrain'
    if (-not (Test-Path $own)) { throw "$own is not there: nowhere else would the logs be guarded" }
    $folder = Join-Path $own 'support'
    if (-not (Test-Path $folder)) { $null = New-Item -ItemType Directory -Path $folder }
    $begun = [DateTime]::UtcNow
    Import-Module $in.tools
    $at = 'Export-AADCloudSyncToolsLogs'
    # Without the verbose trace, which would rewrite the service's configuration file and restart it.
    $null = Export-AADCloudSyncToolsLogs -SkipVerboseTrace -OutputPath $folder
    $made = @(Get-ChildItem -Path "$folder\*.zip" | Sort-Object -Property LastWriteTimeUtc)
    $newest = $made | Select-Object -Last 1
    if (-not $newest -or $newest.LastWriteTimeUtc -lt $begun) { throw "no new archive is in $folder" }
    if ($made.Count -gt 2) {
        foreach ($old in $made[0..($made.Count - 3)]) { Remove-Item -Path $old.FullName -Force }
    }
    $digest = (Get-FileHash -Path $newest.FullName -Algorithm 'SHA256').Hash.ToLowerInvariant()
    Say @{ path = $newest.FullName; bytes = [long]$newest.Length; sha256 = $digest }
} catch {
    Say @{ error = @{ at = $at; message = (Reason $_.Exception) } }
}
