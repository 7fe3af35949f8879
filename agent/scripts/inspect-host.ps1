# Reads what only Windows itself can tell about this server (probes PF04 to PF74 and SEC2, SEC3). Changes nothing.
# Input: {"gmsa": "name$" or null, "product": "provisioning-agent" or "connect", "hosts": ["host"]}.
# Output: one line; each part is there, or {"why": "..."}. What was not read is never told as if it were nothing.
Read-Part 'domain' {
    $computer = Get-CimInstance -ClassName 'Win32_ComputerSystem'
    @{ joined = [bool]$computer.PartOfDomain; name = [string]$computer.Domain }
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
    # The mutex stays after an installation; whether somebody holds it is what counts.
    $mutex = $null
    $busy = $false
    if ([Threading.Mutex]::TryOpenExisting('Global\_MSIExecute', [ref]$mutex)) {
        try {
            $mine = $true
            try { $mine = $mutex.WaitOne(0) } catch [Threading.AbandonedMutexException] { $mine = $true }
            if ($mine) { $mutex.ReleaseMutex() }
            $busy = -not $mine
        } finally { $mutex.Dispose() }
    }
    $busy
}
Read-Part 'codeIntegrity' {
    $guard = Get-CimInstance -Namespace 'root\Microsoft\Windows\DeviceGuard' -ClassName 'Win32_DeviceGuard'
    if ($null -eq $guard.UsermodeCodeIntegrityPolicyEnforcementStatus) { throw 'Win32_DeviceGuard does not tell' }
    $guard.UsermodeCodeIntegrityPolicyEnforcementStatus -eq 2
}
Read-Part 'appLocker' {
    # Rules whose enforcement nobody configured are enforced.
    , @(foreach ($rules in (Get-AppLockerPolicy -Effective).RuleCollections) {
        if ($rules.EnforcementMode.ToString() -ne 'AuditOnly' -and $rules.Count -gt 0) { [string]$rules.RuleCollectionType }
    })
}
Read-Part 'proxy' {
    # The first host of the tenant's own cloud: a proxy may be set for some hosts alone.
    $target = [Uri]('https://' + @($in.hosts)[0])
    $proxy = [Net.WebRequest]::DefaultWebProxy.GetProxy($target)
    if ($null -ne $proxy -and $proxy -ne $target) { return $proxy.ToString() }
    $kept = Get-WinHttpProxy
    if ($kept) { return $kept }
    'none'
}
Read-Part 'tls' {
    $leaves = @()
    foreach ($name in $in.hosts) {
        $script:root = $null
        $script:wrong = $null
        $client = New-Object Net.Sockets.TcpClient
        try {
            $client.ReceiveTimeout = 10000
            $client.SendTimeout = 10000
            if (-not $client.ConnectAsync($name, 443).Wait(10000)) { throw "no answer from $name" }
            # Every chain is taken here, to see where it ends; what is wrong with it is judged below.
            $seen = [Net.Security.RemoteCertificateValidationCallback]{ param($from, $leaf, $chain, $wrong)
                $script:root = $chain.ChainElements[$chain.ChainElements.Count - 1].Certificate
                $script:wrong = $wrong
                $true }
            $stream = New-Object Net.Security.SslStream($client.GetStream(), $false, $seen)
            $stream.AuthenticateAsClient($name, $null, [Security.Authentication.SslProtocols]::Tls12, $false)
            $public = Test-Public ($script:wrong -eq [Net.Security.SslPolicyErrors]::None) $script:root
            $leaves += @{ host = $name; root = $script:root.Subject; public = $public }
        } catch {
            $leaves += @{ host = $name; why = (Reason $_) }
        } finally { $client.Dispose() }
    }
    , $leaves
}
if ($in.gmsa) {
    Read-Part 'gmsa' {
        Import-Module -Name 'ActiveDirectory'
        try {
            @{ usable = [bool](Test-ADServiceAccount -Identity $in.gmsa.TrimEnd('$')) }
        } catch {
            if ($_.FullyQualifiedErrorId -notlike '*ADIdentityNotFoundException*') { throw }
            @{ usable = $false }
        }
    }
}
if ($in.product -eq 'connect') {
    Read-Part 'tpm' { [bool](Get-Tpm).TpmReady }
    Read-Part 'open' {
        # All of them, since a process that is not there is no error then, and every other one is.
        $all = @(Get-Process | ForEach-Object { $_.ProcessName })
        , @(foreach ($name in 'AzureADConnect', 'miisclient') { if ($all -contains $name) { "$name.exe is open" } })
    }
    Read-Part 'runs' {
        $runs = @()
        if (Get-Service -Name 'ADSync' -ErrorAction SilentlyContinue) {
            Import-ConnectModule 'Get-ADSyncConnectorRunStatus'
            foreach ($run in @(Get-ADSyncConnectorRunStatus | Where-Object { $_ })) { $runs += "a run of $($run.ConnectorName) is under way" }
        }
        , $runs
    }
    Read-Part 'configurations' {
        , @(foreach ($name in 'miiserver', 'miisclient') {
            $file = Get-Item -Path "$($in.engine)\$name.exe.config"
            $laid = $file.CreationTimeUtc
            @{
                name = $file.Name
                written = [int]($file.LastWriteTimeUtc - $laid).TotalMinutes
                laid = [int]($laid - (Get-Item -Path "$($in.engine)\$name.exe").CreationTimeUtc).TotalMinutes
            }
        })
    }
    Read-Part 'settingsExportHours' {
        # The wizard's own, and one that a person exported: that name is unverified.
        $newest = 'Applied', 'Exported' | ForEach-Object { Get-ChildItem -Path "$env:ProgramData\AADConnect\$_-SynchronizationPolicy-*.JSON" } |
            Sort-Object -Property LastWriteTimeUtc | Select-Object -Last 1
        if (-not $newest) { throw 'no export is there' }
        [int][Math]::Floor(([DateTime]::UtcNow - $newest.LastWriteTimeUtc).TotalHours)
    }
}
Say $out
