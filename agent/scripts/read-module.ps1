# Tells what the module of the provisioning agent has to offer on this server: each of its cmdlets, with the parameters that go together;
# where cmdlets are named, which of those the module of Connect's engine has.
# What a version has is told by it alone (product facts 1.4, 2.12). Calls none of them, and changes nothing.
# Input: {"module": "path of the agent's", "engine": "folder of the engine"}, and "of": ["cmdlet"] for the engine's. Output: a line for each set of parameters of a cmdlet {"cmdlet", "parameters": [{"name", "aliases",
# "mandatory"}]}, and at last one line {"cmdlets": how many}; or {"error": {...}}.
$at = 'Import-Module'
try {
    $name = 'ADSync'
    if ($in.of) { Import-ConnectModule } else { $name = (Import-Module $in.module -PassThru).Name }
    $at = 'Get-Command'
    $commands = @(Get-Command -Module $name)
    if (-not $commands.Count) { throw "the module $name names no cmdlet" }
    if ($in.of) { $commands = @($commands | Where-Object { $in.of -contains $_.Name }) }
    foreach ($command in $commands) {
        $sets = @($command.ParameterSets)
        if (-not $sets.Count) { throw "the module does not tell the parameters of $($command.Name)" }
        foreach ($set in $sets) {
            $parameters = @(foreach ($one in $set.Parameters) {
                @{ name = [string]$one.Name; aliases = @($one.Aliases); mandatory = [bool]$one.IsMandatory }
            })
            Say @{ cmdlet = [string]$command.Name; parameters = $parameters }
        }
    }
    Say @{ cmdlets = $commands.Count }
} catch {
    Say @{ error = @{ at = $at; message = (Reason $_) } }
}
