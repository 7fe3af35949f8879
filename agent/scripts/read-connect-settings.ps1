# Reads what decides what Connect Sync synchronizes, for the comparison of two servers. Changes nothing, and asks for no object
# of a directory. What a filter or an expression holds goes no further than the agent, which tells a digest of it.
# Input: {"groupFilter": true, or absent}. Output: a line for each connector {"connector", "id", "type", "objects", "attributes"},
# each of its partitions {"partition", "of", "selected", "classes", "included", "excluded"}, each rule {"rule", "of", ...}, each
# setting of the installation {"setting", "value"}, each feature {"feature", "on"}, each connector's password hash
# synchronization {"passwords", "on"}, and where that is asked each connector's filter by a group {"filter", "on": true, false or
# null}; then one line {"unread": {"part": "why"}}. Or {"error": {...}}. Names of what the module gives are unverified:
# one that is missing makes its part unread, and never an empty list.
$unread = @{}
function Read-Lines([string]$part, [scriptblock]$read) {
    try { & $read } catch { $script:unread[$part] = Reason $_ }
}
function Take($object, [string[]]$names) {
    $taken = @{}
    foreach ($name in $names) {
        if ($null -eq $object -or $null -eq $object.PSObject.Properties[$name]) { throw "the module names no $name" }
        $taken[$name] = $object.$name
    }
    $taken
}
function Get-Text([string]$name, $values) {
    if ($null -eq $values) { throw "the module tells no $name" }
    , @(foreach ($one in $values) {
        if ($one -isnot [string]) { throw "the module tells $name in another form" }
        $one
    })
}
function Get-Flag([string]$name, $value) {
    if ($value -isnot [bool]) { throw "the module does not tell $name" }
    $value
}
try {
    Import-ConnectModule 'Get-ADSyncConnector'
    $connectors = @(Get-ADSyncConnector)
    if (-not $connectors.Count) { throw 'the module names no connector' }
    Read-Lines 'connectors' {
        foreach ($one in $connectors) {
            $connector = Take $one 'Name', 'Identifier', 'ConnectorTypeName', 'Partitions', 'ObjectInclusionList', 'AttributeInclusionList'
            Say @{
                connector = [string]$connector.Name; id = [string]$connector.Identifier; type = [string]$connector.ConnectorTypeName
                objects = Get-Text 'ObjectInclusionList' $connector.ObjectInclusionList; attributes = Get-Text 'AttributeInclusionList' $connector.AttributeInclusionList
            }
            if (-not @($connector.Partitions).Count) { throw 'a connector tells no partition' }
            foreach ($part in $connector.Partitions) {
                $partition = Take $part 'Name', 'Selected', 'ConnectorPartitionScope'
                $scope = Take $partition.ConnectorPartitionScope 'ObjectClasses', 'ContainerInclusionList', 'ContainerExclusionList'
                Say @{
                    partition = [string]$partition.Name; of = [string]$connector.Name; selected = (Get-Flag 'Selected' $partition.Selected)
                    classes = Get-Text 'ObjectClasses' $scope.ObjectClasses
                    included = Get-Text 'ContainerInclusionList' $scope.ContainerInclusionList; excluded = Get-Text 'ContainerExclusionList' $scope.ContainerExclusionList
                }
            }
        }
    }
    Read-Lines 'rules' {
        Assert-Calls 'Get-ADSyncRule'
        $rules = @(Get-ADSyncRule)
        if (-not $rules.Count) { throw 'the module names no rule' }
        foreach ($one in $rules) {
            $rule = Take $one 'Name', 'Direction', 'Precedence', 'Connector', 'SourceObjectType', 'TargetObjectType', 'LinkType', 'ImmutableTag', 'IsStandardRule', 'Disabled', 'EnablePasswordSync', 'ScopeFilter', 'JoinFilter', 'AttributeFlowMappings'
            if ($rule.IsStandardRule -isnot [bool] -or $rule.Disabled -isnot [bool]) { throw 'a rule does not tell whether it is a default one, or disabled' }
            if ([string]$rule.EnablePasswordSync -notin 'True', 'False') { throw 'a rule does not tell whether it is for passwords' }
            $scope = @(foreach ($group in $rule.ScopeFilter) {
                $conditions = @(foreach ($each in (Take $group 'ScopeConditionList').ScopeConditionList) {
                    $condition = Take $each 'Attribute', 'ComparisonOperator', 'ComparisonValue'
                    @{ attribute = [string]$condition.Attribute; operator = [string]$condition.ComparisonOperator; value = [string]$condition.ComparisonValue }
                })
                @{ all = $conditions }
            })
            $join = @(foreach ($group in $rule.JoinFilter) {
                $conditions = @(foreach ($each in (Take $group 'JoinConditionList').JoinConditionList) {
                    $condition = Take $each 'CSAttribute', 'MVAttribute', 'CaseSensitive'
                    @{ source = [string]$condition.CSAttribute; target = [string]$condition.MVAttribute; exact = (Get-Flag 'CaseSensitive' $condition.CaseSensitive) }
                })
                @{ all = $conditions }
            })
            $flows = @(foreach ($each in $rule.AttributeFlowMappings) {
                $flow = Take $each 'Source', 'Destination', 'FlowType', 'ExecuteOnce', 'Expression', 'ValueMergeType'
                @{
                    to = [string]$flow.Destination; from = Get-Text 'Source' @($flow.Source | ForEach-Object { [string]$_ }); kind = [string]$flow.FlowType
                    once = (Get-Flag 'ExecuteOnce' $flow.ExecuteOnce); expression = [string]$flow.Expression; merge = [string]$flow.ValueMergeType
                }
            })
            Say @{
                rule = [string]$rule.Name; of = [string]$rule.Connector; direction = [string]$rule.Direction; precedence = [int]$rule.Precedence
                default = $rule.IsStandardRule; disabled = $rule.Disabled; tag = [string]$rule.ImmutableTag
                source = [string]$rule.SourceObjectType; target = [string]$rule.TargetObjectType; link = [string]$rule.LinkType
                passwords = [string]$rule.EnablePasswordSync; scope = $scope; join = $join; flows = $flows
            }
        }
    }
    Read-Lines 'installation' {
        Assert-Calls 'Get-ADSyncGlobalSettingsParameter'
        $anchor = $false
        foreach ($one in @(Get-ADSyncGlobalSettingsParameter)) {
            $setting = Take $one 'Name', 'Value'
            if ($setting.Name -notmatch '^Microsoft\.(SynchronizationOption|UserSignIn|OptionalFeature|AADFilter|DirectoryExtension|UserWriteBack|GroupWriteBack|DeviceWriteBack)\b') { continue }
            if ($setting.Name -match 'AnchorAttribute$') { $anchor = $true }
            Say @{ setting = [string]$setting.Name; value = [string]$setting.Value }
        }
        if (-not $anchor) { throw 'no setting names the source anchor attribute' }
    }
    Read-Lines 'tenant-features' {
        Assert-Calls 'Get-ADSyncAADCompanyFeature'
        $told = 0
        foreach ($one in (Get-ADSyncAADCompanyFeature).PSObject.Properties) {
            if ($one.Value -isnot [bool]) { continue }
            $told++
            Say @{ feature = [string]$one.Name; on = $one.Value }
        }
        if (-not $told) { throw 'the module names no feature' }
    }
    Read-Lines 'password-sync' {
        Assert-Calls 'Get-ADSyncAADPasswordSyncConfiguration -SourceConnector'
        foreach ($one in $connectors) {
            # The tenant's own connector has none.
            if ([string]$one.Identifier -like '*b891884f-051e-4a83-95af-2544101c9083*') { continue }
            $kept = Take (Get-ADSyncAADPasswordSyncConfiguration -SourceConnector $one.Name) 'Enabled'
            if ($kept.Enabled -isnot [bool]) { throw 'the module does not tell Enabled' }
            Say @{ passwords = [string]$one.Name; on = $kept.Enabled }
        }
    }
    if ($in.groupFilter) {
        Read-Lines 'group-filter' {
            foreach ($one in $connectors) {
                # Where the engine keeps such a filter is unverified: a connector that names no such parameter tells nothing. Its
                # value is a group's name, and goes nowhere.
                $on = $null
                if ($null -ne $one.PSObject.Properties['GlobalParameters']) {
                    foreach ($each in $one.GlobalParameters) {
                        if ([string]$each.Name -match 'GroupFilteringGroupDn$') { $on = [bool][string]$each.Value }
                    }
                }
                Say @{ filter = [string]$one.Name; on = $on }
            }
        }
    }
    Say @{ unread = $unread }
} catch {
    Say @{ error = @{ at = 'Get-ADSyncConnector'; message = (Reason $_) } }
}
