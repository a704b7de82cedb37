output "policies" {
  description = "The description and the document of each IAM policy of the operator, by name"
  value       = local.policies
}

output "trust" {
  description = "The trust policy of the operator's role; null with identity None"
  value = (
    contains(keys(local.trust), var.identity)
    ? jsonencode({ Version = "2012-10-17", Statement = [local.trust[var.identity]] })
    : null
  )
}

output "receive" {
  description = "The IAM policy that allows receiving from the queue of events"
  value       = jsonencode({ Version = "2012-10-17", Statement = [local.receive] })
}

output "queue" {
  description = "The policy of the queue of events"
  value       = jsonencode({ Version = "2012-10-17", Statement = local.queue })
}

output "rules" {
  description = "The description and the event pattern of each rule of EventBridge, by name"
  value       = local.rules
}

output "parameter_key" {
  description = "The policy of a KMS key for SecureStrings that can be used only through Systems Manager"
  value       = jsonencode({ Version = "2012-10-17", Statement = local.parameter_key })
}

output "helm_values" {
  description = "The chart's values for the operator"
  value = yamlencode({
    clusterName = var.cluster_name
    aws         = { region = var.region }
    serviceAccount = merge(
      { name = var.service_account },
      var.identity == "IRSA" ? { annotations = { "eks.amazonaws.com/role-arn" = var.role_arn } } : {},
    )
  })
}
