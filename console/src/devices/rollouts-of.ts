import { useQuery } from '@tanstack/react-query';
import { api } from '../data/client.ts';

/** The newest rollouts for a model. */
export const useRolloutsOf = (model: string) =>
  useQuery({ queryKey: ['rollouts-of', model], queryFn: () => api.rollouts({ model, limit: 200 }) });
