import { environment, required } from '../../environment.ts';
import type { Api } from './answers.ts';
import { ENDPOINTS } from './api.ts';
import { openApi, type Credentials } from './request.ts';

/** Aptible as the environment says: where it is, and who we are there. Throws where no credentials are set. */
export function aptibleApi(): Api {
  const { APTIBLE_AUTH_ROOT_URL: auth, APTIBLE_API_ROOT_URL: api } = environment();
  return openApi({ auth: auth ?? ENDPOINTS.auth, api: api ?? ENDPOINTS.api }, credentials());
}

function credentials(): Credentials {
  const { APTIBLE_ACCESS_TOKEN: token, APTIBLE_OTP_TOKEN: otp } = environment();
  if (token) return { type: 'token', token };
  return {
    type: 'password',
    username: required('APTIBLE_USERNAME'),
    password: required('APTIBLE_PASSWORD'),
    // An empty secret is none.
    otp: otp || undefined,
  };
}
