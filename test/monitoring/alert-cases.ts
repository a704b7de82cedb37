/** A unit test of one alert for promtool. Samples come once a minute; times are since the first. */
export interface AlertCase {
  alert: string;
  /** Values in promtool's notation: `a+bxn` is `a` and `n` more samples, each larger by `b`; `_` is no sample. */
  series: Record<string, string>;
  /** When the alert does not fire yet, although its cause may be there. */
  quiet: string;
  fires: string;
  clears: string;
  /** Other alerts of the same cause that fire then. */
  others?: string[];
}

const object = '{namespace="shop",name="db"}';
const day = 86_400;

/** One case for each alert, in the order of the rule file. */
export const cases: AlertCase[] = [
  {
    alert: "KeyferrySecretNotReady",
    series: {
      [`keyferry_syncedsecret_ready${object}`]: "1+0x4 0+0x25 1+0x30",
      // More than nine in ten stay Ready.
      ...Object.fromEntries(
        Array.from({ length: 12 }, (_, n) => [
          `keyferry_syncedsecret_ready{namespace="shop",name="other${n}"}`,
          "1+0x60",
        ]),
      ),
    },
    quiet: "18m",
    fires: "21m",
    clears: "31m",
  },
  {
    alert: "KeyferryManySecretsNotReady",
    series: {
      [`keyferry_syncedsecret_ready${object}`]: "1+0x4 0+0x13 1+0x30",
      'keyferry_syncedsecret_ready{namespace="shop",name="other"}': "1+0x60",
    },
    quiet: "13m",
    fires: "17m",
    clears: "22m",
  },
  {
    alert: "KeyferryNotSyncing",
    series: { 'keyferry_syncs_total{result="error",reason=""}': "0+0x4 0+1x30 30+0x60" },
    quiet: "18m",
    fires: "25m",
    clears: "50m",
  },
  {
    alert: "KeyferryHeldBack",
    series: { [`keyferry_held_back${object}`]: "_x4 1+0x10 _x60" },
    quiet: "3m",
    fires: "6m",
    clears: "25m",
  },
  {
    alert: "KeyferryRolloutFailed",
    series: {
      'keyferry_rollouts_total{result="failed"}': "0+0x4 1+0x60",
      'keyferry_rollouts_total{result="restarted"}': "0+1x60",
    },
    quiet: "4m",
    fires: "7m",
    clears: "25m",
  },
  {
    alert: "KeyferryThrottled",
    series: { 'keyferry_aws_throttles_total{service="ssm",operation="GetParameters"}': "0+0x4 0+30x40 1200+0x60" },
    quiet: "15m",
    fires: "30m",
    clears: "60m",
  },
  {
    alert: "KeyferryQuotaNearlyUsed",
    series: {
      'keyferry_aws_quota_used_ratio{account="1",region="eu-west-1",service="ssm"}': "0.5+0x4 0.95+0x30 0.5+0x30",
    },
    quiet: "19m",
    fires: "22m",
    clears: "37m",
  },
  {
    alert: "KeyferryAWSCallsFail",
    series: {
      'keyferry_aws_requests_total{service="ssm",operation="GetParameters",result="ok"}': "0+10x4 40+0x29 40+10x60",
      'keyferry_aws_requests_total{service="ssm",operation="GetParameters",result="error"}': "0+0x4 0+10x29 290+0x60",
    },
    quiet: "14m",
    fires: "25m",
    clears: "45m",
  },
  {
    alert: "KeyferryReadsFailOver",
    // A single read in a new series, of which increase() sees nothing.
    series: { 'keyferry_failover_reads_total{service="kms",region="eu-central-1"}': "_x4 1+0x60" },
    quiet: "3m",
    fires: "7m",
    clears: "20m",
  },
  {
    alert: "KeyferryParameterExpires",
    series: {
      // Due after three days and an hour, then set a year later.
      [`keyferry_parameter_expiration_timestamp_seconds${object}`]: `${3 * day + 3_600}+0x80 ${365 * day}+0x40`,
    },
    quiet: "59m",
    fires: "65m",
    clears: "85m",
  },
  {
    alert: "KeyferryDecryptDenied",
    series: { 'keyferry_kms_decrypts_total{result="denied"}': "0+0x4 1+0x100" },
    quiet: "4m",
    fires: "8m",
    clears: "40m",
  },
  {
    alert: "KeyferryKeyPendingDeletion",
    series: { 'keyferry_kms_key_deletion_timestamp_seconds{key="k"}': `_x4 ${7 * day}+0x10 _x60` },
    quiet: "3m",
    fires: "6m",
    clears: "25m",
  },
  {
    alert: "KeyferryKeyMaterialExpiring",
    series: {
      'keyferry_kms_key_material_expiration_timestamp_seconds{key="k"}': `${7 * day + 3_600}+0x80 ${365 * day}+0x40`,
    },
    quiet: "59m",
    fires: "65m",
    clears: "85m",
  },
  {
    alert: "KeyferryEventsMissed",
    series: { keyferry_events_missed_total: "0+0x4 1+0x100" },
    quiet: "4m",
    fires: "8m",
    clears: "40m",
  },
  {
    alert: "KeyferryEventsSilent",
    series: { 'keyferry_events_silent_seconds{queue="q"}': `${day - 600}+60x20 0+60x40` },
    quiet: "9m",
    fires: "15m",
    clears: "25m",
  },
  {
    alert: "KeyferryWatchesRestart",
    series: {
      'keyferry_watch_restarts_total{cause="broken"}': "0+0x4 0+6x40 240+0x60",
      // The API server ends every watch after minutes.
      'keyferry_watch_restarts_total{cause="ended"}': "0+6x120",
    },
    quiet: "15m",
    fires: "30m",
    clears: "60m",
  },
  {
    alert: "KeyferryKubernetesWritesFail",
    series: {
      'keyferry_kubernetes_requests_total{verb="apply",code="403"}': "0+0x4 0+6x40 240+0x60",
      // A conflict is retried with the newer object.
      'keyferry_kubernetes_requests_total{verb="patch",code="409"}': "0+6x120",
    },
    quiet: "12m",
    fires: "30m",
    clears: "60m",
  },
  {
    alert: "KeyferryQueueWaits",
    series: {
      'keyferry_queue_oldest_seconds{lane="interactive"}': "1+0x4 90+0x20 1+0x60",
      'keyferry_queue_oldest_seconds{lane="poll"}': "90+0x120",
    },
    quiet: "14m",
    fires: "17m",
    clears: "27m",
  },
  {
    alert: "KeyferryAbsent",
    series: { 'keyferry_build_info{version="1"}': "1+0x4 _x20 1+0x60" },
    quiet: "8m",
    fires: "20m",
    clears: "28m",
  },
  {
    alert: "KeyferryNoLeader",
    series: { 'keyferry_leader{instance="a"}': "1+0x4 0+0x60", 'keyferry_leader{instance="b"}': "0+0x14 1+0x60" },
    quiet: "6m",
    fires: "8m",
    clears: "17m",
  },
  {
    alert: "KeyferryShardWithoutOwner",
    series: {
      'keyferry_shard_owner{instance="a",shard="0"}': "1+0x80",
      'keyferry_shard_owner{instance="b",shard="0"}': "0+0x80",
      'keyferry_shard_owner{instance="a",shard="1"}': "0+0x14 1+0x60",
      'keyferry_shard_owner{instance="b",shard="1"}': "1+0x4 0+0x60",
    },
    quiet: "6m",
    fires: "8m",
    clears: "17m",
  },
  {
    alert: "KeyferryInternalError",
    series: { 'keyferry_internal_errors_total{controller="connection"}': "0+0x4 1+0x60" },
    quiet: "4m",
    fires: "7m",
    clears: "20m",
  },
  {
    alert: "KeyferryAuditLost",
    series: { 'keyferry_audit_lines_total{result="lost"}': "0+0x4 5+0x60" },
    quiet: "4m",
    fires: "7m",
    clears: "20m",
  },
];
