output "role_arn" {
  description = "The operator's role; null with identity None"
  value       = one(aws_iam_role.operator[*].arn)
}

output "policy_arns" {
  description = "The IAM policies by name, to attach to a role of your own with identity None"
  value = merge(
    { for name, policy in aws_iam_policy.operator : name => policy.arn },
    { for policy in aws_iam_policy.receive : "receive" => policy.arn },
  )
}

output "helm_values" {
  description = "The chart's values for the operator, as YAML"
  value       = module.policies.helm_values
}

output "queue_url" {
  description = "A connection's events.queueUrl; null without events"
  value       = one(aws_sqs_queue.events[*].url)
}

output "dead_letter_queue_url" {
  description = "Receives events that were delivered too often; null without events"
  value       = one(aws_sqs_queue.dead_letter[*].url)
}

output "parameter_key_arn" {
  description = "The KMS key for SecureStrings; null without create_parameter_key"
  value       = one(aws_kms_key.parameters[*].arn)
}
