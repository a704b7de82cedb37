# The variables of the module above, and what it has looked up or created.

variable "partition" {
  type = string
}

variable "dns_suffix" {
  type = string
}

variable "account_id" {
  type = string
}

variable "region" {
  type = string
}

variable "cluster_name" {
  type = string
}

variable "identity" {
  type = string
}

variable "oidc_provider" {
  type = string
}

variable "namespace" {
  type = string
}

variable "service_account" {
  type = string
}

variable "parameter_prefixes" {
  type = list(string)
}

variable "shared_parameter_arns" {
  type = list(string)
}

variable "secret_arns" {
  type = list(string)
}

variable "key_arns" {
  type = list(string)
}

variable "parameter_key_arns" {
  type = list(string)
}

variable "describe" {
  type = bool
}

variable "assume_role_arns" {
  type = list(string)
}

variable "topic_arn" {
  type = string
}

variable "key_calls" {
  type = bool
}

variable "role_arn" {
  type = string
}

variable "queue_arn" {
  type = string
}

variable "source_arns" {
  description = "ARNs of the rules, or of the topic, that send to the queue"
  type        = list(string)
}
