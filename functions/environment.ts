import { z } from 'zod';
import { PermanentError } from './mirror/errors.ts';

/**
 * The one reader of the environment. Terraform sets these variables on each service and on the job; the local stack sets
 * the same ones, plus the endpoints.
 */

const url = z.url({ protocol: /^https?$/u });
/** Passwords and tokens go there: in clear at most to this machine. */
const encrypted = url
  .refine((text) => /^https:|^http:\/\/(?:127\.0\.0\.1|localhost|\[::1\])(?:[:/]|$)/u.test(text), 'https://…')
  .transform((text) => text.replace(/\/+$/u, ''));

const Environment = z.object({
  GOOGLE_CLOUD_PROJECT: z.string().min(1),
  /** Where BigQuery jobs run: `US`, `EU` or a region. */
  BIGQUERY_LOCATION: z.string().min(1),
  DATA_BUCKET: z.string().min(1),
  LEDGER_BUCKET: z.string().min(1),
  /**
   * The Cloud KMS key of every table, `projects/…/cryptoKeys/…`; or the word `google-managed` where somebody has decided
   * against a key of their own. Never empty: encryption is a decision, not a default.
   */
  KMS_KEY: z.string().regex(/^(?:projects\/\S+\/cryptoKeys\/\S+|google-managed)$/u),
  /** Named in alerts: where a person reads the logs, for example a Logs Explorer address. */
  LOGS_LOCATION: z.string().default('Cloud Logging, resource.type="cloud_run_revision" or "cloud_run_job"'),
  /** Only the export's: the PostgreSQL URL, a secret. */
  SOURCE_URL: z.string().optional(),
  /** Only the export's, where the source is on Aptible: its user and password, secrets. */
  APTIBLE_USERNAME: z.string().optional(),
  APTIBLE_PASSWORD: z.string().optional(),
  /** For one run by hand, of a user who logs in with a one-time password. */
  APTIBLE_OTP_TOKEN: z.string().optional(),
  /** Instead of user and password. */
  APTIBLE_ACCESS_TOKEN: z.string().optional(),
  APTIBLE_AUTH_ROOT_URL: encrypted.optional(),
  APTIBLE_API_ROOT_URL: encrypted.optional(),
  /** Only the export's: mirror.yaml in the image. */
  CONFIG_FILE: z.string().default('mirror.yaml'),
  /** Only the alert's: an incoming webhook's URL, a secret. */
  SLACK_WEBHOOK_URL: url.optional(),
  /** Set by Cloud Run for a job's execution and its retried tasks. */
  CLOUD_RUN_EXECUTION: z.string().optional(),
  /** `scheduled` is what Cloud Scheduler passes; an execution started by hand has the job's default. */
  TRIGGER: z.enum(['scheduled', 'manual']).default('manual'),
  STORAGE_ENDPOINT: url.optional(),
  BIGQUERY_ENDPOINT: url.optional(),
  MONITORING_ENDPOINT: url.optional(),
  /** `host:port` of a Pub/Sub without TLS; the name is the one that Google's clients know. */
  PUBSUB_EMULATOR_HOST: z.string().optional(),
});

export type Environment = z.infer<typeof Environment>;

let parsed: Environment | undefined;

/** The environment, parsed at first use. Throws one error that names every variable at fault, never a value. */
export function environment(): Environment {
  if (!parsed) {
    const result = Environment.safeParse(process.env);
    if (!result.success) {
      const faults = result.error.issues.map(({ path, message }) => `  ${path.join('.')}: ${message}`);
      throw new PermanentError(`The environment has faults:\n${faults.join('\n')}`);
    }
    parsed = result.data;
  }
  return parsed;
}

/** A variable that only some of the functions have. */
export function required(name: 'SOURCE_URL' | 'SLACK_WEBHOOK_URL' | 'APTIBLE_USERNAME' | 'APTIBLE_PASSWORD'): string {
  const value = environment()[name];
  if (!value) throw new PermanentError(`The environment variable ${name} is not set. Next: set it from its secret.`);
  return value;
}
