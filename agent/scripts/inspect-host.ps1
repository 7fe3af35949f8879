# Reads execution policies and, where one is named, whether a gMSA is usable on this server. Changes nothing.
# Input: {"gmsa": "name$" or null}. Output: one line {"policies": {scope: policy}, "gmsa": {"usable": bool} or null}.
$ErrorActionPreference = 'Stop'
$in = [Console]::In.ReadToEnd() | ConvertFrom-Json
[Console]::Out.WriteLine('{"started":true}')
$policies = @{}
foreach ($row in Get-ExecutionPolicy -List) {
    if ($row.Scope.ToString() -ne 'Process') { $policies[$row.Scope.ToString()] = $row.ExecutionPolicy.ToString() }
}
$gmsa = $null
if ($in.gmsa) {
    try {
        Import-Module ActiveDirectory
        $gmsa = @{ usable = [bool](Test-ADServiceAccount -Identity $in.gmsa.TrimEnd('$')) }
    } catch {
        $gmsa = @{ why = $_.Exception.Message }
    }
}
[Console]::Out.WriteLine((@{ policies = $policies; gmsa = $gmsa } | ConvertTo-Json -Compress))
