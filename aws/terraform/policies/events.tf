# What EventBridge sends to the queue of events.

locals {
  rules = {
    for name, rule in {
      parameters = {
        is_needed   = true
        description = "Changes of parameters and actions of their policies, for Keyferry"
        pattern = {
          source        = ["aws.ssm"]
          "detail-type" = ["Parameter Store Change", "Parameter Store Policy Action"]
        }
      }
      keys = {
        is_needed   = true
        description = "KMS's own events about keys, after the fact, for Keyferry"
        pattern = {
          source        = ["aws.kms"]
          "detail-type" = ["KMS CMK Deletion", "KMS CMK Rotation", "KMS Imported Key Material Expiration"]
        }
      }
      key_calls = {
        is_needed   = var.key_calls
        description = "Calls that change whether a key can be used, for Keyferry"
        pattern = {
          source        = ["aws.kms"]
          "detail-type" = ["AWS API Call via CloudTrail"]
          detail = {
            eventSource = ["kms.amazonaws.com"]
            eventName = [
              "ScheduleKeyDeletion",
              "CancelKeyDeletion",
              "DisableKey",
              "EnableKey",
              "ImportKeyMaterial",
              "DeleteImportedKeyMaterial",
            ]
          }
        }
      }
    } : name => { description = rule.description, pattern = jsonencode(rule.pattern) } if rule.is_needed
  }
}
