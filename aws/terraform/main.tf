# The role and the policies of Keyferry's operator in one account. docs/install-aws.md has an example.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  has_role = var.identity != "None"
  tags     = merge(var.tags, { "keyferry.io/cluster" = var.cluster_name })
  # A key that this module creates is used by SecureStrings, beside those that are named.
  parameter_key_arns = concat(var.parameter_key_arns, aws_kms_key.parameters[*].arn)
}

module "policies" {
  source = "./policies"

  partition             = data.aws_partition.current.partition
  dns_suffix            = data.aws_partition.current.dns_suffix
  account_id            = data.aws_caller_identity.current.account_id
  region                = data.aws_region.current.region
  cluster_name          = var.cluster_name
  identity              = var.identity
  oidc_provider         = var.oidc_provider
  namespace             = var.namespace
  service_account       = var.service_account
  parameter_prefixes    = var.parameter_prefixes
  shared_parameter_arns = var.shared_parameter_arns
  secret_arns           = var.secret_arns
  key_arns              = var.key_arns
  parameter_key_arns    = local.parameter_key_arns
  describe              = var.describe
  assume_role_arns      = var.assume_role_arns
  topic_arn             = var.topic_arn
  key_calls             = var.key_calls
  role_arn              = one(aws_iam_role.operator[*].arn)
  queue_arn             = one(aws_sqs_queue.events[*].arn)
  source_arns           = local.source_arns
}

resource "aws_iam_policy" "operator" {
  for_each = module.policies.policies

  name_prefix = "keyferry-${each.key}-"
  description = each.value.description
  policy      = each.value.document
  tags        = local.tags
}

resource "aws_iam_role" "operator" {
  count = local.has_role ? 1 : 0

  name_prefix        = "keyferry-"
  description        = "Keyferry's operator"
  assume_role_policy = module.policies.trust
  tags               = local.tags

  lifecycle {
    precondition {
      condition     = var.identity != "IRSA" || can(regex("^[a-z0-9][a-z0-9.-]*(/[a-zA-Z0-9._-]+)*$", var.oidc_provider))
      error_message = "oidc_provider is required for IRSA: the cluster's OIDC issuer without https://."
    }
  }
}

resource "aws_iam_role_policy_attachment" "operator" {
  for_each = { for name, policy in aws_iam_policy.operator : name => policy.arn if local.has_role }

  role       = aws_iam_role.operator[0].name
  policy_arn = each.value
}

resource "aws_eks_pod_identity_association" "operator" {
  count = var.identity == "PodIdentity" && var.eks_cluster_name != "" ? 1 : 0

  cluster_name    = var.eks_cluster_name
  namespace       = var.namespace
  service_account = var.service_account
  role_arn        = aws_iam_role.operator[0].arn
  tags            = local.tags
}

resource "aws_kms_key" "parameters" {
  count = var.create_parameter_key ? 1 : 0

  description         = "SecureStrings for Keyferry, through Systems Manager only"
  enable_key_rotation = true
  policy              = module.policies.parameter_key
  tags                = local.tags
}
