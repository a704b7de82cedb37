# Every policy as data, without a provider: a test evaluates this module and compares it with the CloudFormation
# templates. Each statement allows one operation of the operator.

locals {
  parameter_arn = "arn:${var.partition}:ssm:*:${var.account_id}:parameter"
  any_key_arn   = "arn:${var.partition}:kms:*:${var.account_id}:key/*"
  reads_secrets = length(var.secret_arns) > 0

  read = [
    for one in [
      {
        is_needed = true
        statement = {
          Sid    = "ReadParameters"
          Effect = "Allow"
          Action = ["ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"]
          # Names below a prefix, and the prefix itself, because a path is requested by its own name.
          Resource = flatten([
            for prefix in var.parameter_prefixes : ["${local.parameter_arn}${prefix}", "${local.parameter_arn}${prefix}/*"]
          ])
        }
      },
      {
        is_needed = length(var.shared_parameter_arns) > 0
        statement = {
          Sid      = "ReadSharedParameters"
          Effect   = "Allow"
          Action   = ["ssm:GetParameter", "ssm:GetParameters"]
          Resource = var.shared_parameter_arns
        }
      },
      {
        is_needed = local.reads_secrets
        statement = {
          Sid      = "PassSecretsThrough"
          Effect   = "Allow"
          Action   = ["ssm:GetParameter", "ssm:GetParameters"]
          Resource = "${local.parameter_arn}/aws/reference/secretsmanager/*"
        }
      },
      {
        is_needed = local.reads_secrets
        statement = {
          Sid      = "ReadSecrets"
          Effect   = "Allow"
          Action   = "secretsmanager:GetSecretValue"
          Resource = var.secret_arns
        }
      },
      {
        is_needed = true
        statement = {
          Sid      = "DecryptSecureStrings"
          Effect   = "Allow"
          Action   = "kms:Decrypt"
          Resource = length(var.parameter_key_arns) > 0 ? var.parameter_key_arns : [local.any_key_arn]
          Condition = {
            StringLike = {
              # Every region of the partition: the module does not know connections and failover regions.
              "kms:ViaService" = concat(
                ["ssm.*.${var.dns_suffix}"],
                local.reads_secrets ? ["secretsmanager.*.${var.dns_suffix}"] : [],
              )
            }
          }
        }
      },
    ] : one.statement if one.is_needed
  ]

  # A policy's name is the key of its resource in the module above.
  policies = {
    for name, policy in {
      read = {
        is_needed   = true
        description = "Keyferry reads parameters, and decrypts them through Systems Manager only"
        statements  = local.read
      }
      keys = {
        is_needed   = length(var.key_arns) > 0
        description = "Keyferry opens KMS blobs and messages of the AWS Encryption SDK, and looks at their keys"
        statements = [
          {
            Sid      = "OpenBlobs"
            Effect   = "Allow"
            Action   = ["kms:Decrypt", "kms:DescribeKey"]
            Resource = var.key_arns
          },
        ]
      }
      describe = {
        is_needed   = var.describe
        description = "Keyferry sees expiries, tags and keys of parameters, and the health of keys"
        statements = [
          {
            Sid      = "DescribeParameters"
            Effect   = "Allow"
            Action   = "ssm:DescribeParameters"
            Resource = "*"
          },
          {
            Sid      = "DescribeKeys"
            Effect   = "Allow"
            Action   = "kms:DescribeKey"
            Resource = local.any_key_arn
          },
        ]
      }
      assume = {
        is_needed   = length(var.assume_role_arns) > 0
        description = "Keyferry assumes the roles that its connections name"
        statements = [
          {
            Sid    = "AssumeRoles"
            Effect = "Allow"
            # SetSourceIdentity and TagSession are for source identities and session tags.
            Action   = ["sts:AssumeRole", "sts:SetSourceIdentity", "sts:TagSession"]
            Resource = var.assume_role_arns
          },
        ]
      }
    } : name => { description = policy.description, document = jsonencode({ Version = "2012-10-17", Statement = policy.statements }) }
    if policy.is_needed
  }

  trust = {
    IRSA = {
      Effect    = "Allow"
      Principal = { Federated = "arn:${var.partition}:iam::${var.account_id}:oidc-provider/${var.oidc_provider}" }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          "${var.oidc_provider}:aud" = "sts.amazonaws.com"
          "${var.oidc_provider}:sub" = "system:serviceaccount:${var.namespace}:${var.service_account}"
        }
      }
    }
    PodIdentity = {
      Effect    = "Allow"
      Principal = { Service = "pods.eks.amazonaws.com" }
      Action    = ["sts:AssumeRole", "sts:TagSession"]
      Condition = {
        StringEquals = {
          "aws:SourceAccount"                         = var.account_id
          "aws:RequestTag/kubernetes-namespace"       = var.namespace
          "aws:RequestTag/kubernetes-service-account" = var.service_account
        }
      }
    }
  }

  receive = {
    Sid      = "ReceiveEvents"
    Effect   = "Allow"
    Action   = ["sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ListQueueTags", "sqs:ReceiveMessage"]
    Resource = var.queue_arn
  }

  queue = [
    {
      Sid       = var.topic_arn == "" ? "SendFromRules" : "SendFromTopic"
      Effect    = "Allow"
      Principal = { Service = var.topic_arn == "" ? "events.amazonaws.com" : "sns.amazonaws.com" }
      Action    = "sqs:SendMessage"
      Resource  = var.queue_arn
      Condition = { ArnEquals = { "aws:SourceArn" = var.source_arns } }
    },
    {
      Sid       = "DenyWithoutTls"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = var.queue_arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    },
  ]

  # A key that no direct call may use, whatever the caller's IAM policies allow: the ciphertext of a SecureString can be
  # decrypted only by Systems Manager.
  parameter_key = [
    {
      Sid       = "Administer"
      Effect    = "Allow"
      Principal = { AWS = "arn:${var.partition}:iam::${var.account_id}:root" }
      Action = [
        "kms:CancelKeyDeletion",
        "kms:CreateAlias",
        "kms:DeleteAlias",
        "kms:Describe*",
        "kms:Disable*",
        "kms:Enable*",
        "kms:Get*",
        "kms:List*",
        "kms:PutKeyPolicy",
        "kms:RotateKeyOnDemand",
        "kms:ScheduleKeyDeletion",
        "kms:TagResource",
        "kms:UntagResource",
        "kms:Update*",
      ]
      Resource = "*"
    },
    {
      Sid       = "UseThroughSystemsManager"
      Effect    = "Allow"
      Principal = { AWS = "arn:${var.partition}:iam::${var.account_id}:root" }
      Action    = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*"]
      Resource  = "*"
      Condition = { StringEquals = { "kms:ViaService" = "ssm.${var.region}.${var.dns_suffix}" } }
    },
  ]
}
