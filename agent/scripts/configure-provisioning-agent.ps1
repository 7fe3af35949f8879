# Configures the provisioning agent in this one process, since the module keeps the signed-in state in it (product facts
# 1.4). Secrets come on standard input and are never written anywhere.
# Input: {"module", "tenant", "signIn", "gmsa": {"name"} or {"createWithCredentialOf"}, "domains": [{"name",
# "preferredDomainControllers", "credential"}], "secrets": [{"kind", "of", "user", "value"}]}.
# Output: a line {"step", "ok"} for each cmdlet, with {"text"} where it is read back, and at last {"done": true} or {"error": {"at", "kind", "message"}}.
function Secret($kind, $of) { $in.secrets | Where-Object { $_.kind -eq $kind -and $_.of -eq $of } | Select-Object -First 1 }
function Credential($secret) {
    $password = New-Object System.Security.SecureString
    foreach ($character in $secret.value.ToCharArray()) { $password.AppendChar($character) }
    New-Object System.Management.Automation.PSCredential($secret.user, $password)
}

$at = 'Import-Module'
try {
    Import-Module $in.module
    Say @{ step = $at; ok = $true }

    $at = 'Connect-AADCloudSyncAzureAD'
    if ($in.signIn -eq 'token') {
        $secret = Secret 'access-token' $in.tenant
        $null = Connect-AADCloudSyncAzureAD -AccessToken $secret.value -TenantId $in.tenant -UserPrincipalName $secret.user
    } else {
        $null = Connect-AADCloudSyncAzureAD -Credential (Credential (Secret 'tenant-credential' $in.tenant))
    }
    Say @{ step = $at; ok = $true }

    $at = 'Add-AADCloudSyncGMSA'
    if ($in.gmsa.name) {
        $null = Add-AADCloudSyncGMSA -CustomGMSAName $in.gmsa.name
    } else {
        $null = Add-AADCloudSyncGMSA -Credential (Credential (Secret 'domain-credential' $in.gmsa.createWithCredentialOf))
    }
    Say @{ step = $at; ok = $true }

    $at = 'Add-AADCloudSyncADDomain'
    foreach ($domain in $in.domains) {
        $arguments = @{ DomainName = $domain.name }
        if ($domain.credential) { $arguments.Credential = Credential (Secret 'domain-credential' $domain.name) }
        if ($domain.preferredDomainControllers.Count -gt 0) { $arguments.PreferredDomainControllers = [string[]]$domain.preferredDomainControllers }
        $null = Add-AADCloudSyncADDomain @arguments
        Say @{ step = $at; ok = $true; domain = $domain.name }
    }

    # Read back for the record: a module that cannot list them (its output is unverified) fails nothing.
    $at = 'Get-AADCloudSyncDomains'
    try { Say @{ step = $at; ok = $true; text = (Get-AADCloudSyncDomains | Out-String -Width 400) } }
    catch { Say @{ step = $at; ok = $false; text = (Reason $_.Exception) } }

    $at = 'Restart-Service'
    Restart-Service -Name AADConnectProvisioningAgent
    Say @{ step = $at; ok = $true }
    Say @{ done = $true }
} catch {
    $kind = 'other'
    if ($_.Exception -is [System.Management.Automation.ParameterBindingException]) { $kind = 'parameter' }
    # A cmdlet may repeat its argument in what it says.
    $message = Reason $_.Exception
    foreach ($secret in $in.secrets) {
        if ($secret.value) { $message = $message.Replace($secret.value, '***') }
    }
    Say @{ error = @{ at = $at; kind = $kind; message = $message } }
}
