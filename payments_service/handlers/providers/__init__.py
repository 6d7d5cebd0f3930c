"""Payment providers, each behind `payments_service.domain.ports.Provider`."""
