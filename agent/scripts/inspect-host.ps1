# Reads what only Windows itself can tell about this server (probes PF05 to PF74 and SEC2, SEC3). Changes nothing.
# Input: {"gmsa": "name$" or null, "product": "provisioning-agent" or "connect", "hosts": ["host"]}.
# Output: one line; each part is there, or {"why": "..."}.
$ErrorActionPreference = 'Stop'
$in = [Console]::In.ReadToEnd() | ConvertFrom-Json
[Console]::Out.WriteLine('{"started":true}')
$out = @{}
function Read-Part([string]$name, [scriptblock]$read) {
    try { $script:out[$name] = & $read } catch { $script:out[$name] = @{ why = $_.Exception.Message } }
}
Read-Part 'policies' {
    $policies = @{}
    foreach ($row in Get-ExecutionPolicy -List) {
        if ($row.Scope.ToString() -ne 'Process') { $policies[$row.Scope.ToString()] = $row.ExecutionPolicy.ToString() }
    }
    $policies
}
Read-Part 'powerShell' { $PSVersionTable.PSVersion.ToString() }
Read-Part 'languageMode' { $ExecutionContext.SessionState.LanguageMode.ToString() }
Read-Part 'elevated' {
    $me = New-Object Security.Principal.WindowsPrincipal([Security.Principal.WindowsIdentity]::GetCurrent())
    $me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)
}
Read-Part 'secureChannel' { [bool](Test-ComputerSecureChannel) }
Read-Part 'installerBusy' {
    $mutex = $null
    $busy = [Threading.Mutex]::TryOpenExisting('Global\_MSIExecute', [ref]$mutex)
    if ($busy) { $mutex.Dispose() }
    $busy
}
Read-Part 'applicationControl' {
    $enforced = @()
    $guard = Get-CimInstance -Namespace 'root\Microsoft\Windows\DeviceGuard' -ClassName 'Win32_DeviceGuard' -ErrorAction SilentlyContinue
    if ($guard -and $guard.UsermodeCodeIntegrityPolicyEnforcementStatus -eq 2) { $enforced += 'WDAC: user mode' }
    if (Get-Command -Name 'Get-AppLockerPolicy' -ErrorAction SilentlyContinue) {
        foreach ($rules in (Get-AppLockerPolicy -Effective).RuleCollections) {
            if ($rules.EnforcementMode.ToString() -eq 'Enabled' -and $rules.Count -gt 0) { $enforced += "AppLocker: $($rules.RuleCollectionType)" }
        }
    }
    , $enforced
}
Read-Part 'logonRight' {
    $file = [IO.Path]::GetTempFileName()
    try {
        $null = & "$env:SystemRoot\System32\secedit.exe" /export /areas USER_RIGHTS /cfg $file /quiet
        $row = Get-Content -Path $file | Where-Object { $_ -like 'SeServiceLogonRight*' } | Select-Object -First 1
    } finally { Remove-Item -Path $file -Force }
    $holders = @()
    if ($row) { $holders = @($row.Split('=')[1].Split(',') | ForEach-Object { $_.Trim().TrimStart('*') }) }
    $set = Get-CimInstance -Namespace 'root\rsop\computer' -ClassName 'RSOP_UserPrivilegeRight' -ErrorAction SilentlyContinue |
        Where-Object { $_.UserRight -eq 'SeServiceLogonRight' } | Select-Object -First 1
    $policy = ''
    if ($set) { $policy = [string]$set.GPOID }
    @{ policy = $policy; holders = $holders }
}
Read-Part 'proxy' {
    $target = [Uri]'https://login.microsoftonline.com'
    $proxy = [Net.WebRequest]::DefaultWebProxy.GetProxy($target)
    if ($null -eq $proxy -or $proxy -eq $target) { 'none' } else { $proxy.ToString() }
}
Read-Part 'tls' {
    $leaves = @()
    foreach ($name in $in.hosts) {
        $script:root = $null
        $client = New-Object Net.Sockets.TcpClient
        try {
            if (-not $client.ConnectAsync($name, 443).Wait(10000)) { throw "no answer from $name" }
            # Whom the chain ends at is what is asked; whether it is trusted is judged by the root.
            $seen = [Net.Security.RemoteCertificateValidationCallback]{ param($from, $leaf, $chain, $wrong)
                $script:root = $chain.ChainElements[$chain.ChainElements.Count - 1].Certificate
                $true }
            $stream = New-Object Net.Security.SslStream($client.GetStream(), $false, $seen)
            $stream.AuthenticateAsClient($name)
            $public = (Test-Path "Cert:\LocalMachine\AuthRoot\$($script:root.Thumbprint)") -or ($script:root.Subject -like '*Microsoft*')
            $leaves += @{ host = $name; root = $script:root.Subject; public = $public }
        } finally { $client.Dispose() }
    }
    , $leaves
}
if ($in.gmsa) {
    Read-Part 'gmsa' {
        Import-Module -Name 'ActiveDirectory'
        @{ usable = [bool](Test-ADServiceAccount -Identity $in.gmsa.TrimEnd('$')) }
    }
}
if ($in.product -eq 'connect') {
    Read-Part 'tpm' { [bool](Get-Tpm).TpmReady }
    Read-Part 'engineBusy' {
        $busy = @()
        foreach ($name in 'AzureADConnect', 'miisclient') {
            if (Get-Process -Name $name -ErrorAction SilentlyContinue) { $busy += "$name.exe is open" }
        }
        if (Get-Service -Name 'ADSync' -ErrorAction SilentlyContinue) {
            Import-Module -Name 'ADSync'
            foreach ($run in @(Get-ADSyncConnectorRunStatus)) { $busy += "a run of $($run.ConnectorName) is under way" }
        }
        , $busy
    }
    Read-Part 'editedConfigurations' {
        $edited = @()
        $folder = Join-Path $env:ProgramFiles 'Microsoft Azure AD Sync\Bin'
        foreach ($name in 'miiserver', 'miisclient') {
            $program = Get-Item -Path "$folder\$name.exe"
            $file = Get-Item -Path "$folder\$name.exe.config"
            # The product lays both down in one go; an edit is later.
            if ($file.LastWriteTimeUtc -gt $program.CreationTimeUtc.AddHours(1)) { $edited += $file.Name }
        }
        , $edited
    }
    Read-Part 'settingsExportHours' {
        $newest = Get-ChildItem -Path "$env:ProgramData\AADConnect\Applied-SynchronizationPolicy-*.JSON" |
            Sort-Object -Property LastWriteTimeUtc | Select-Object -Last 1
        if (-not $newest) { throw 'no export is there' }
        [int][Math]::Floor(([DateTime]::UtcNow - $newest.LastWriteTimeUtc).TotalHours)
    }
}
[Console]::Out.WriteLine(($out | ConvertTo-Json -Compress -Depth 5))
