# Each variable refuses what could not work, before anything is asked of the cloud.

mock_provider "google" {}

variables {
  project_id = "my-project-123"
  image_tag  = "0a1b2c3"
  budget     = { enabled = false }
}

run "wrong_project_id" {
  command = plan

  variables {
    project_id = "My Project"
  }

  expect_failures = [var.project_id]
}

run "wrong_region" {
  command = plan

  variables {
    region = "europe-west4-a"
  }

  expect_failures = [var.region]
}

run "wrong_name" {
  command = plan

  variables {
    name = "Ear"
  }

  expect_failures = [var.name]
}

run "wrong_labels" {
  command = plan

  variables {
    labels = { Team = "speech" }
  }

  expect_failures = [var.labels]
}

run "wrong_buckets" {
  command = plan

  variables {
    buckets = { temporary_days = 1 }
  }

  expect_failures = [var.buckets]
}

run "wrong_kms_key" {
  command = plan

  variables {
    kms_key = "projects/p/locations/us/keyRings/r/cryptoKeys/k"
  }

  expect_failures = [var.kms_key]
}

run "wrong_image_tag" {
  command = plan

  variables {
    image_tag = "latest"
  }

  expect_failures = [var.image_tag]
}

run "wrong_beam_workers" {
  command = plan

  variables {
    beam = { max_workers = 0 }
  }

  expect_failures = [var.beam]
}

run "wrong_beam_disk" {
  command = plan

  variables {
    beam = { disk_gb = 10 }
  }

  expect_failures = [var.beam]
}

run "wrong_accelerator_count" {
  command = plan

  variables {
    training = { accelerator_count = 3 }
  }

  expect_failures = [var.training]
}

run "wrong_accelerator_type" {
  command = plan

  variables {
    training = { accelerator_type = "NVIDIA_TESLA_A100" }
  }

  expect_failures = [var.training]
}

run "wrong_training_hours" {
  command = plan

  variables {
    training = { timeout_hours = 0 }
  }

  expect_failures = [var.training]
}

run "wrong_workflow" {
  command = plan

  variables {
    workflow = { launches = 2 }
  }

  expect_failures = [var.workflow]
}

run "wrong_emails" {
  command = plan

  variables {
    alerts = { emails = ["nobody"] }
  }

  expect_failures = [var.alerts]
}

run "wrong_no_billing_account" {
  command = plan

  variables {
    budget = {}
  }

  expect_failures = [var.budget]
}

run "wrong_no_thresholds" {
  command = plan

  variables {
    budget = { enabled = false, thresholds = [] }
  }

  expect_failures = [var.budget]
}

run "wrong_cron" {
  command = plan

  variables {
    schedule = { cron = "daily", argument = { run = "r", corpus = "c" } }
  }

  expect_failures = [var.schedule]
}

run "wrong_scheduled_run" {
  command = plan

  variables {
    schedule = { cron = "0 3 * * 1", argument = { run = "-", corpus = "c" } }
  }

  expect_failures = [var.schedule]
}

run "wrong_scheduled_stages" {
  command = plan

  variables {
    schedule = { cron = "0 3 * * 1", argument = { run = "r", corpus = "c", stages = ["trian"] } }
  }

  expect_failures = [var.schedule]
}

run "wrong_server_index" {
  command = plan

  variables {
    server = { index = "index" }
  }

  expect_failures = [var.server]
}

run "wrong_public_server" {
  command = plan

  variables {
    server = { index = "gs://b/i", invokers = ["allUsers"] }
  }

  expect_failures = [var.server]
}
