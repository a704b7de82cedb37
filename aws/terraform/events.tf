# The queue of events of one cluster and region. docs/events.md describes how the operator uses the events.

locals {
  has_rules   = var.events && var.topic_arn == ""
  source_arns = var.topic_arn == "" ? [for rule in aws_cloudwatch_event_rule.events : rule.arn] : [var.topic_arn]
}

resource "aws_sqs_queue" "events" {
  count = var.events ? 1 : 0

  name_prefix             = "keyferry-"
  sqs_managed_sse_enabled = true
  # A day: polls find older changes.
  message_retention_seconds = 86400
  receive_wait_time_seconds = 20
  # A message is received again every minute until its Secrets are written.
  redrive_policy = jsonencode({ deadLetterTargetArn = aws_sqs_queue.dead_letter[0].arn, maxReceiveCount = 20 })
  tags           = local.tags
}

resource "aws_sqs_queue" "dead_letter" {
  count = var.events ? 1 : 0

  name_prefix               = "keyferry-dead-letter-"
  sqs_managed_sse_enabled   = true
  message_retention_seconds = 1209600
  tags                      = var.tags
}

resource "aws_sqs_queue_policy" "events" {
  count = var.events ? 1 : 0

  queue_url = aws_sqs_queue.events[0].url
  policy    = module.policies.queue
}

resource "aws_cloudwatch_event_rule" "events" {
  for_each = { for name, rule in module.policies.rules : name => rule if local.has_rules }

  name_prefix   = "keyferry-"
  description   = each.value.description
  event_pattern = each.value.pattern
  tags          = local.tags
}

resource "aws_cloudwatch_event_target" "events" {
  for_each = aws_cloudwatch_event_rule.events

  rule      = each.value.name
  target_id = "keyferry"
  arn       = aws_sqs_queue.events[0].arn
}

resource "aws_sns_topic_subscription" "events" {
  count = var.events && var.topic_arn != "" ? 1 : 0

  topic_arn            = var.topic_arn
  protocol             = "sqs"
  endpoint             = aws_sqs_queue.events[0].arn
  raw_message_delivery = true
}

resource "aws_iam_policy" "receive" {
  count = var.events ? 1 : 0

  name_prefix = "keyferry-receive-"
  description = "Keyferry receives events"
  policy      = module.policies.receive
  tags        = local.tags
}

resource "aws_iam_role_policy_attachment" "receive" {
  count = var.events && local.has_role ? 1 : 0

  role       = aws_iam_role.operator[0].name
  policy_arn = aws_iam_policy.receive[0].arn
}
