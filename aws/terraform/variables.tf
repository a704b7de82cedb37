variable "cluster_name" {
  description = "The name of the cluster, the chart's clusterName"
  type        = string

  validation {
    condition     = can(regex("^[a-zA-Z0-9_.:/=+@-]{1,256}$", var.cluster_name))
    error_message = "cluster_name has 1 to 256 letters, digits and _ . : / = + @ - characters."
  }
}

variable "identity" {
  description = "How the pod gets the role: IRSA, PodIdentity, or None for only the policies"
  type        = string
  default     = "PodIdentity"

  validation {
    condition     = contains(["IRSA", "PodIdentity", "None"], var.identity)
    error_message = "identity is IRSA, PodIdentity or None."
  }
}

variable "oidc_provider" {
  description = "For IRSA: the cluster's OIDC issuer without https://, registered as an identity provider in IAM"
  type        = string
  default     = ""
}

variable "eks_cluster_name" {
  description = "For PodIdentity: the EKS cluster to associate the role with; empty to create the association elsewhere"
  type        = string
  default     = ""
}

variable "namespace" {
  description = "The namespace that the chart is installed in"
  type        = string
  default     = "keyferry"
}

variable "service_account" {
  description = "The operator's ServiceAccount, the chart's serviceAccount.name"
  type        = string
  default     = "keyferry"
}

variable "parameter_prefixes" {
  description = "Prefixes of the parameters that may be read, such as /shop: that name and everything below it; /* for all"
  type        = list(string)
  default     = ["/*"]

  validation {
    condition     = length(var.parameter_prefixes) > 0 && alltrue([for prefix in var.parameter_prefixes : can(regex("^/[a-zA-Z0-9_.*/-]*[a-zA-Z0-9_.*-]$", prefix))])
    error_message = "Each of parameter_prefixes begins with / and does not end with it; one at least is required."
  }
}

variable "shared_parameter_arns" {
  description = "ARNs of parameters shared by other accounts, or public ones below /aws/service/"
  type        = list(string)
  default     = []
}

variable "secret_arns" {
  description = "ARNs of Secrets Manager secrets to read as /aws/reference/secretsmanager/NAME"
  type        = list(string)
  default     = []
}

variable "key_arns" {
  description = "ARNs of the KMS keys of KMS blobs and messages, which are used directly; never those of SecureStrings"
  type        = list(string)
  default     = []
}

variable "parameter_key_arns" {
  description = "ARNs of the KMS keys of SecureStrings, used only through Systems Manager; empty for every key of this account"
  type        = list(string)
  default     = []
}

variable "describe" {
  description = "Whether to allow ssm:DescribeParameters on all parameters, for expiry, tags and keys, and kms:DescribeKey"
  type        = bool
  default     = false
}

variable "assume_role_arns" {
  description = "ARNs of the roles that connections assume (auth.assumeRole)"
  type        = list(string)
  default     = []
}

variable "events" {
  description = "Whether to create the queue of events, its rules, and the permission to receive"
  type        = bool
  default     = true
}

variable "topic_arn" {
  description = "An SNS topic that sends the events, for more than five clusters; empty to create rules in this module"
  type        = string
  default     = ""
}

variable "key_calls" {
  description = "Whether to send calls that disable a KMS key or schedule its deletion, at once; needs a CloudTrail trail"
  type        = bool
  default     = false
}

variable "create_parameter_key" {
  description = "Whether to create a KMS key for SecureStrings that can be used only through Systems Manager"
  type        = bool
  default     = false
}

variable "tags" {
  description = "Tags of every resource that can have them"
  type        = map(string)
  default     = {}
}
