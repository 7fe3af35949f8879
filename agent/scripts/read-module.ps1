# Tells what the module of the provisioning agent has to offer on this server: each of its cmdlets, with the parameters that go together.
# Which of them a version has is told by it alone (product facts 1.4). Calls none of them, and changes nothing.
# Input: {"module": "its path"}. Output: a line for each set of parameters of a cmdlet {"cmdlet", "parameters": [{"name", "aliases",
# "mandatory"}]}, and at last one line {"cmdlets": how many}; or {"error": {...}}.
$at = 'Import-Module'
try {
    $module = Import-Module $in.module -PassThru
    $at = 'Get-Command'
    $commands = @(Get-Command -Module $module.Name)
    if (-not $commands.Count) { throw "the module $($module.Name) names no cmdlet" }
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
