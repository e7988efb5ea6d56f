locals {
  number = data.google_project.this.number

  # Google's own accounts in this project, one a service, that must be able to use the key.
  agents = {
    storage          = "service-${local.number}@gs-project-accounts.iam.gserviceaccount.com"
    dataflow         = "service-${local.number}@dataflow-service-producer-prod.iam.gserviceaccount.com"
    compute          = "service-${local.number}@compute-system.iam.gserviceaccount.com"
    aiplatform       = "service-${local.number}@gcp-sa-aiplatform.iam.gserviceaccount.com"
    artifactregistry = "service-${local.number}@gcp-sa-artifactregistry.iam.gserviceaccount.com"
    workflows        = "service-${local.number}@gcp-sa-workflows.iam.gserviceaccount.com"
    run              = "service-${local.number}@serverless-robot-prod.iam.gserviceaccount.com"
  }
}

resource "google_kms_crypto_key_iam_member" "agents" {
  for_each = var.kms_key == null ? {} : {
    for service, agent in local.agents : service => agent if service != "run" || var.server != null
  }

  crypto_key_id = var.kms_key
  role          = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
  member        = "serviceAccount:${each.value}"

  depends_on = [google_project_service.this]
}
