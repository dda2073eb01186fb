import './styles/tokens.css';
import './styles/base.css';
import './styles/ui.css';
import './styles/lists.css';
import './styles/forms.css';
import './styles/pages.css';
import './styles/narrow.css';
import { QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app.tsx';
import { queryClient } from './data/client.ts';
import { openSession } from './data/session.ts';

const root = document.getElementById('root');
if (root === null) throw new Error('index.html has no #root');
await openSession();
createRoot(root).render(
  <StrictMode>
    <QueryClientProvider client={queryClient}>
      <App />
    </QueryClientProvider>
  </StrictMode>,
);
